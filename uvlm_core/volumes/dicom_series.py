"""Series of a DICOM folder, and which one to read."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.dicom_headers import FolderContents, SliceHeader, scan_folder

ALIKE = 0.01  # direction cosines that differ by less are the same orientation


@dataclass(frozen=True)
class SeriesInfo:
    """One series of images of one size and one orientation.

    uid is the SeriesInstanceUID; shape is (slices, rows, columns); files is sorted.
    """

    uid: str
    number: str
    description: str
    modality: str
    shape: tuple[int, int, int]
    patient: str
    study: str
    is_localiser: bool
    slices: tuple[SliceHeader, ...] = field(repr=False)

    @property
    def files(self) -> list[Path]:
        return sorted({header.path for header in self.slices})

    @property
    def title(self) -> str:
        """How messages name it: number, description, modality and slices."""
        words = [part for part in (self.number, f"'{self.description}'" if self.description else "") if part]
        slices = f"{self.shape[0]} slice{'s' if self.shape[0] != 1 else ''}"
        kind = (self.modality or "no modality") + (" localiser" if self.is_localiser else "")
        return f"series {' '.join(words) or self.uid} ({kind}, {slices})"

    @property
    def places(self) -> frozenset:
        """Rounded positions of the slices, to recognise time points of one region."""
        return frozenset(tuple(round(value, 1) for value in header.position) for header in self.slices
                         if header.position)


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """All image series of a DICOM file or folder tree, the one that `read_volume` would take first.

    Raises:
        VolumeError: there is no such path.
    """
    folder = Path(folder)
    if not folder.exists():
        raise VolumeError(f"There is no file or folder at {folder}. Check the path.")
    return group_series(scan_folder(folder))


def group_series(found: FolderContents) -> list[SeriesInfo]:
    """Slices grouped by series, size, orientation and colour; localisers last, CT first, then most slices first."""
    groups = defaultdict(list)
    for header in found.slices:
        groups[header.series, header.rows, header.columns, header.samples, header.is_localiser].append(header)
    series = [_info(headers) for group in groups.values() for headers in _same_orientation(group)]
    return sorted(series, key=lambda one: (one.is_localiser, one.modality != "CT", -one.shape[0],
                                           one.number.zfill(9), one.uid))


def _same_orientation(headers: list[SliceHeader]) -> list[list[SliceHeader]]:
    """Split where directions differ by more than rounding; slices without orientation stay with each other."""
    groups: list[list[SliceHeader]] = []
    for header in headers:
        for group in groups:
            one, other = group[0].orientation, header.orientation
            if (one is None) == (other is None) and \
                    (one is None or max(abs(a - b) for a, b in zip(one, other, strict=True)) < ALIKE):
                group.append(header)
                break
        else:
            groups.append([header])
    return groups


def _info(headers: list[SliceHeader]) -> SeriesInfo:
    first = headers[0]
    return SeriesInfo(first.series, first.number, first.description, first.modality,
                      (len(headers), first.rows, first.columns), first.patient, first.study, first.is_localiser,
                      tuple(headers))


def choose_series(found: FolderContents, wanted: str | None, place: str, notify: Callable[[str], None]) -> SeriesInfo:
    """The series to read: the wanted one, else the CT series with the most slices, with a message if there are others.

    Args:
        wanted: SeriesInstanceUID or series number; None to choose.
        place: the path's name, for messages.

    Raises:
        VolumeError: no CT series, only localisers, the wanted one is not there, or a 4-D study.
    """
    series = group_series(found)
    if wanted is not None:
        return _wanted(series, wanted, place, notify)
    _refuse_no_ct(series, place)
    chosen = series[0]
    _refuse_time_points(chosen, series, place)
    if len(series) > 1:
        others = "; ".join(f"{one.title}, {one.uid}" for one in series[1:6])
        more = f"; and {len(series) - 6} more" if len(series) > 6 else ""
        patients = len({one.patient for one in series})
        warning = f" They belong to {patients} patients." if patients > 1 else ""
        notify(f"{place} holds {len(series)} series. Reading {chosen.title}.{warning} Not read: {others}{more}. "
               "Give the series number or UID to choose another one.")
    return chosen


def _wanted(series, wanted: str, place: str, notify) -> SeriesInfo:
    matching = [one for one in series if wanted in (one.uid, one.number)]
    if not matching:
        known = "; ".join(f"{one.title}, {one.uid}" for one in series[:12])
        raise VolumeError(f"{place} has no series {wanted}. It has: {known or 'no image series at all'}.")
    if len({one.uid for one in matching}) > 1:
        uids = ", ".join(one.uid for one in matching[:12])
        raise VolumeError(f"{place} has {len(matching)} series with the number {wanted}. Give one of the UIDs: {uids}.")
    chosen = matching[0]
    if chosen.modality != "CT":
        raise VolumeError(f"The {chosen.title} of {place} is not a CT: its modality is "
                          f"{chosen.modality or 'not given'}. UVLM reads CT only.")
    for other in matching[1:]:
        notify(f"{other.shape[0]} images of the {chosen.title} have another size or orientation and were left out.")
    return chosen


def _refuse_no_ct(series: list[SeriesInfo], place: str) -> None:
    scans = [one for one in series if one.modality == "CT" and not one.is_localiser]
    if scans:
        return
    if any(one.modality == "CT" for one in series):
        raise VolumeError(f"{place} holds only a localiser (scout view) of a CT, no slices of the body. "
                          "Choose the folder of the axial series.")
    kinds = ", ".join(sorted({one.modality or "none given" for one in series}))
    raise VolumeError(f"{place} holds no CT: found modality {kinds}; CT is expected. Choose the folder of a CT series.")


def _refuse_time_points(chosen: SeriesInfo, series: list[SeriesInfo], place: str) -> None:
    """Some scanners write each time point of a dynamic scan as its own series with one common series number."""
    same = [one for one in series if one.study == chosen.study and one.number == chosen.number and one.number
            and one.description == chosen.description and one.places and one.places == chosen.places]
    if len(same) < 2:
        return
    uids = ", ".join(one.uid for one in same[:3])
    raise VolumeError(f"{place} is a 4-D study: the same {chosen.shape[0]} positions were scanned {len(same)} times "
                      f"(series number {chosen.number}); one volume is expected. Choose one time point by its series "
                      f"UID, for example {uids}{', ...' if len(same) > 3 else ''}.")


def modalities(found: FolderContents) -> str:
    """For messages: "CT (120), SR (1)"."""
    counts = Counter(header.modality or "?" for header in found.slices)
    return ", ".join(f"{name} ({count})" for name, count in sorted(counts.items()))
