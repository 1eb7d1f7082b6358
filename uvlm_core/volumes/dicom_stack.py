"""From the slices of one DICOM series to one regular stack: order, checks, geometry."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.dicom_headers import SliceHeader

SAME_PLACE_MM = 0.01
MOST_TILT = 0.5  # degrees between the stack's direction and the slices' normal
MOST_UNEVEN = 0.1  # of the spacing, from where an even stack would have the slice
ROUNDING_MM = 0.11  # some scanners round positions to 0.1 mm
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def stack_slices(slices: list[SliceHeader], name: str,
                 notify: Callable[[str], None]) -> tuple[list[SliceHeader], np.ndarray]:
    """The slices sorted along their normal, and ijk_to_ras of the stack.

    Raises:
        VolumeError: one slice, no position, colour, several slices at one place (4-D), a gap, uneven spacing or a
            tilted gantry; each with its own sentence. Several faults are all named.
    """
    _refuse_pictures(slices, name)
    slices = _without_copies(slices, name, notify)
    row, column, normal = _directions(slices[0], name)
    places = np.array([header.position for header in slices]) @ normal
    order = np.argsort(places, kind="stable")
    slices, places = [slices[index] for index in order], places[order]
    if len(slices) == 1:
        raise VolumeError(f"{name} is a single slice; a CT volume needs many. Choose the folder of the whole series.")
    _refuse_shared_places(slices, places, name)
    faults = [fault for fault in (_tilt(slices, normal), _gaps(slices, places)) if fault]
    if faults:
        raise VolumeError(f"{name} is not one regular stack of slices. " + " ".join(faults))
    between = (np.array(slices[-1].position) - slices[0].position) / (len(slices) - 1)
    matrix = np.eye(4)
    row_step, column_step = slices[0].spacing
    matrix[:3, 0], matrix[:3, 1], matrix[:3, 2] = row * column_step, column * row_step, between
    matrix[:3, 3] = slices[0].position
    return slices, LPS_TO_RAS @ matrix


def _refuse_pictures(slices: list[SliceHeader], name: str) -> None:
    first = slices[0]
    if first.samples != 1:
        raise VolumeError(f"{name} holds colour pictures ({first.samples} values per pixel), for example screenshots; "
                          "a CT has one HU value per voxel. Choose the scan itself.")
    lacking = [header for header in slices if header.position is None or header.orientation is None
               or header.spacing is None]
    if lacking:
        one = lacking[0]
        missing = ", ".join(text for text, value in (("position", one.position), ("orientation", one.orientation),
                                                      ("pixel spacing", one.spacing)) if value is None)
        kind = " It is a secondary capture (a picture of a scan)." if one.kind.startswith("1.2.840.10008.5.1.4.1.1.7") \
            else ""
        raise VolumeError(f"{len(lacking)} of {len(slices)} images of {name} do not say where they lie in the patient "
                          f"({missing} missing, first in {one.label}).{kind} Choose the original axial series.")
    steps = np.array([header.spacing for header in slices])
    if steps.min() <= 0 or np.ptp(steps, axis=0).max() > 1e-3 * steps.max():
        raise VolumeError(f"The pixel spacing of {name} is between {steps.min():g} and {steps.max():g} mm; one spacing "
                          "above zero is expected in all slices. Choose or export one series.")


def _without_copies(slices: list[SliceHeader], name: str, notify) -> list[SliceHeader]:
    """The same image twice in a folder is read once."""
    seen = {}
    for header in slices:
        seen.setdefault((header.instance_uid or header.path, header.frame, header.position), header)
    if len(seen) < len(slices):
        notify(f"{len(slices) - len(seen)} files of {name} are copies of others (same instance UID) and were left out.")
    return list(seen.values())


def _directions(header: SliceHeader, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Unit vectors (LPS) along a row, along a column, and across the slice."""
    row, column = np.array(header.orientation[:3]), np.array(header.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if max(abs(length - 1) for length in lengths) > 0.02 or abs(row @ column) > 0.02:
        raise VolumeError(f"The orientation of {name} ({', '.join(f'{v:g}' for v in header.orientation)}) is not two "
                          "unit vectors at a right angle. Its headers are damaged; export the series again.")
    row, column = row / lengths[0], column / lengths[1]
    return row, column, np.cross(row, column)


def _refuse_shared_places(slices, places, name: str) -> None:
    groups = defaultdict(list)
    key = 0
    for index, header in enumerate(slices):
        key += int(index > 0 and places[index] - places[index - 1] > SAME_PLACE_MM)
        groups[key].append(header)
    counts = {len(group) for group in groups.values()}
    if counts == {1}:
        return
    if len(groups) == 1:
        raise VolumeError(f"All {len(slices)} images of {name} lie at the same position: a monitoring or "
                          "bolus-tracking series, or one slice many times, not a volume. Choose the axial series.")
    if len(counts) == 1:
        raise VolumeError(f"{name} is a 4-D series: {counts.pop()} images at each of {len(groups)} positions; one "
                          "volume is expected. Export one time point or phase as a series of its own.")
    twice = [group for group in groups.values() if len(group) > 1]
    examples = " and ".join(header.label for header in twice[0][:2])
    raise VolumeError(f"At {len(twice)} of {len(groups)} positions {name} has more than one image, for example "
                      f"{examples}; one is expected. Two scans were mixed; export one of them alone.")


def _tilt(slices, normal: np.ndarray) -> str | None:
    across = np.array(slices[-1].position) - slices[0].position
    cosine = abs(across @ normal) / np.linalg.norm(across)
    angle = float(np.degrees(np.arccos(np.clip(cosine, 0, 1))))
    if angle <= MOST_TILT:
        return None
    return (f"The gantry was tilted: the slices are shifted by {angle:.1f} degrees against their normal, 0 is "
            "expected. Straighten the series first, for example with dcm2niix, which writes a corrected NIfTI file.")


def _gaps(slices, places: np.ndarray) -> str | None:
    steps = np.diff(places)
    usual = float(np.median(steps))
    wide = np.flatnonzero(steps > 1.5 * usual)
    if len(wide) == 0 and len(steps) > 1 and steps.max() > 1.5 * steps.min() and len(steps) == 2:
        usual, wide = float(steps.min()), np.array([int(steps.argmax())])  # of two steps the median says nothing
    if len(wide):
        at = int(wide[0])
        missing = sum(max(1, round(steps[index] / usual) - 1) for index in wide)
        return (f"{missing} slice{'s are' if missing > 1 else ' is'} missing: between {slices[at].label} at "
                f"{places[at]:.1f} mm and {slices[at + 1].label} at {places[at + 1]:.1f} mm there are {steps[at]:.2f} "
                f"mm, {usual:.2f} mm are expected{f' ({len(wide)} such gaps)' if len(wide) > 1 else ''}. "
                "Export or download the complete series.")
    even = np.linspace(places[0], places[-1], len(places))  # where the volume's 4x4 will put them
    if np.abs(places - even).max() > max(MOST_UNEVEN * usual, ROUNDING_MM):
        return (f"The slices are unevenly spaced: {steps.min():.2f} to {steps.max():.2f} mm, one distance is expected. "
                "Export one reconstruction with even spacing.")
    return None
