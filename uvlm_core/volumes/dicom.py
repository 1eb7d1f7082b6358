"""Reading a DICOM series as a Volume."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.dicom_headers import FolderContents, SliceHeader, scan_folder
from uvlm_core.volumes.dicom_pixels import PixelReader
from uvlm_core.volumes.dicom_series import SeriesInfo, choose_series
from uvlm_core.volumes.dicom_stack import stack_slices
from uvlm_core.volumes.values import narrowed
from uvlm_core.volumes.volume import Volume

NOT_HOUNSFIELD = {"OD", "MGML", "Z_EFF", "ED", "EDW", "HU_MOD", "PCT"}  # DICOM PS3.3 C.11.1.1.2


def read_dicom(path: Path, series: str | None, notify: Callable[[str], None]) -> Volume:
    """The CT series of a DICOM file, a folder, or a tree of folders.

    Args:
        series: SeriesInstanceUID or series number; None takes the CT series with the most slices.

    Raises:
        VolumeError: no DICOM images, no CT, or a series that is not one regular stack in HU; with the reason.
    """
    found = scan_folder(path)
    name = path.name or str(path)
    if not found.slices:
        raise _nothing_found(found, path)
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        notify(text)

    if found.damaged or found.unreadable:
        names = found.damaged + found.unreadable
        more = ", ..." if len(names) > 3 else ""
        note(f"{len(names)} of the files of {name} could not be read and left out: {', '.join(names[:3])}{more}.")
    chosen = choose_series(found, series, name, note)
    _refuse_other_values(chosen, name)
    try:
        slices, matrix = stack_slices(list(chosen.slices), name, note)
    except VolumeError as error:
        if len(chosen.slices) == 1 and chosen.slices[0].samples == 1:
            PixelReader().hounsfield(chosen.slices[0])  # a slice that cannot be decoded is told first
        raise error
    _note_rescale(slices, name, note)
    array = _pixels(slices)
    title = chosen.description or name
    return Volume(array, matrix, title, {
        "source": str(path), "format": "DICOM", "modality": chosen.modality, "series_uid": chosen.uid,
        "series_number": chosen.number, "series_description": chosen.description, "study_uid": chosen.study,
        "files": [str(header.path) for header in slices], "notes": notes})


def _pixels(slices: list[SliceHeader]) -> np.ndarray:
    """(Z, Y, X) int16, or float32 where slopes are fractions or numbers too large."""
    reader = PixelReader()
    array = np.empty((len(slices), slices[0].rows, slices[0].columns), np.int16)
    for index, header in enumerate(slices):
        values = reader.hounsfield(header)
        if array.dtype == np.int16:
            try:
                values = narrowed(values)
            except VolumeError as error:
                raise VolumeError(f"{header.path.name}: {error}") from error
            if values.dtype != np.int16:
                array = array.astype(np.float32)
        array[index] = values
    return array


def _refuse_other_values(chosen: SeriesInfo, name: str) -> None:
    first = chosen.slices[0]
    if any(header.has_lut for header in chosen.slices):
        raise VolumeError(f"{name} maps its pixels through a modality lookup table; a CT gives a rescale slope and "
                          "intercept to HU. Export the original series.")
    if first.rescale_type in NOT_HOUNSFIELD:
        raise VolumeError(f"{name} holds values of type {first.rescale_type} (for example a dual-energy map); HU are "
                          "expected. Choose the CT series itself.")


def _note_rescale(slices: list[SliceHeader], name: str, note) -> None:
    """Mixed rescale values are legal and applied slice by slice, but often a sign of a mended series."""
    pairs = {(header.slope, header.intercept) for header in slices}
    if len(pairs) > 1:
        slopes, intercepts = zip(*pairs, strict=True)
        note(f"The slices of {name} have different rescale values (slope {min(slopes):g} to {max(slopes):g}, intercept "
             f"{min(intercepts):g} to {max(intercepts):g}; one pair is usual). Each slice was read with its own.")
    lacking = sum(not header.has_rescale for header in slices)
    if lacking:
        note(f"{lacking} of {len(slices)} slices of {name} give no rescale slope and intercept; 1 and 0 were used.")


def _nothing_found(found: FolderContents, path: Path) -> VolumeError:
    """Why a path holds no DICOM image, as exactly as can be told."""
    name = path.name or str(path)
    if found.unreadable:
        return VolumeError(f"{found.unreadable[0]} may not be read: permission denied. Ask for read access, or copy "
                           "the files to a folder of your own.")
    if found.damaged:
        return VolumeError(f"{name} holds no DICOM image that can be read: {len(found.damaged)} files are damaged or "
                           f"cut off (first {found.damaged[0]}). Copy or export the series again.")
    if found.other_objects:
        return VolumeError(f"{name} holds DICOM objects without a scan ({', '.join(sorted(found.other_objects))}); CT "
                           "images are expected. Choose the folder of the CT series.")
    volumes = [file.name for file in found.other_files
               if file.name.lower().endswith((".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd"))]
    if volumes:
        return VolumeError(f"{name} is a folder with {len(volumes)} volume file{'s' if len(volumes) > 1 else ''} and "
                           f"no DICOM images. Name the file itself, for example {volumes[0]}.")
    if found.other_files:
        return VolumeError(f"{name} holds no DICOM images: none of its {len(found.other_files)} files is one. "
                           "Choose the folder of a CT series, or a NIfTI, NRRD or MetaImage file.")
    return VolumeError(f"The folder {name} is empty. "
                       "Choose the folder of a CT series, or a NIfTI, NRRD or MetaImage file.")
