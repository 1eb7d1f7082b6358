"""Reading a case's scan: blank headers are filled in from the table, nothing else is changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from uvlm_core.datasets.table import Case, CaseTable
from uvlm_core.errors import CaseError
from uvlm_core.volumes.volume import Volume

SUPINE = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)  # rows to the patient's left, columns to posterior: nearly every CT
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
BLOSC = ".b2nd"
NO_ORIENTATION = "carries no orientation"  # what the reader of NIfTI notes


def read_scan(table: CaseTable, case: Case) -> Volume:
    """The scan of a case in HU. What was filled in stands in ``meta["notes"]``.

    Raises:
        CaseError: the row has no scan.
        VolumeError: the file is missing, truncated, no volume, or holds values that are not numbers.
    """
    if not case.image:
        raise CaseError(f"{case.case_id} has no scan in the table; its source brings only masks or text. Join it with "
                        "the table of its scans: uvlm dataset join.")
    path = table.path(case, case.image)
    if path.name.endswith(BLOSC):
        return _read_blosc(path, case)
    from uvlm_core.volumes.reading import read_volume

    volume = read_volume(path)
    return completed(volume, case) if is_blank(volume) else volume


def is_blank(volume: Volume) -> bool:
    """Whether a header says nothing: voxels of exactly 1 mm, without orientation or along the axes from 0."""
    plain = bool((np.abs(volume.ijk_to_ras[:3, :3]) == np.eye(3)).all())
    unplaced = any(NO_ORIENTATION in note for note in volume.meta.get("notes", []))
    return volume.meta.get("format") == "NIfTI" and plain and (unplaced or not volume.ijk_to_ras[:3, 3].any())


def completed(volume: Volume, case: Case) -> Volume:
    """A volume with a blank header, with the table's spacing, direction and rescale where the table has them."""
    notes = [note for note in volume.meta.get("notes", []) if NO_ORIENTATION not in note]
    if case.spacing is not None:
        volume = replace(volume, ijk_to_ras=matrix_of(case.spacing, case.direction))
        notes.append("The file's header is blank; spacing and direction are those of the table.")
    else:
        notes.append("The file's header is blank and the table has no spacing: voxels were taken as 1 mm.")
    if case.rescale is not None and not _is_hu(volume):
        slope, intercept = case.rescale
        values = volume.array.astype(np.float32) * np.float32(slope) + np.float32(intercept)
        whole = np.rint(values)
        if np.array_equal(whole, values) and abs(whole).max() < 32767:
            values = whole.astype(np.int16)
        volume = replace(volume, array=values)
        notes.append(f"The stored values were no HU; the table's slope {slope:g} and intercept {intercept:g} were "
                     "used.")
    return replace(volume, meta={**volume.meta, "notes": notes})


def matrix_of(spacing, direction=None) -> np.ndarray:
    """ijk_to_ras of a scan that starts at the origin.

    Args:
        spacing: (z, y, x) mm.
        direction: the cosines of DICOM's ImageOrientationPatient (along i, then along j, in LPS); default supine.
    """
    direction = np.array(direction or SUPINE, float)
    i, j = direction[:3], direction[3:]
    axes = np.stack([i, j, np.cross(i, j)], axis=1) * np.array(spacing[::-1], float)
    matrix = np.eye(4)
    matrix[:3, :3] = LPS_TO_RAS @ axes
    return matrix


def _is_hu(volume: Volume) -> bool:
    from uvlm_core.volumes.ct_check import check_ct

    return check_ct(volume).is_ct


def _read_blosc(path: Path, case: Case) -> Volume:
    """An array of the released code: (X, Y, Z) int16 HU, x to the left, y to posterior; spacing from the table."""
    from uvlm_core.datasets.storage import open_blosc

    array = open_blosc(path)
    if array.ndim != 3:
        raise CaseError(f"{path.name} has {array.ndim} dimensions; a scan has three (x, y, z).")
    values = np.ascontiguousarray(array.transpose(2, 1, 0))
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise CaseError(f"{path.name} holds values that are not numbers (NaN or infinite).")
    values = values.astype(np.int16 if values.dtype.kind in "iu" else np.float32)
    notes = ["The released code's arrays are stretched to one size: millimetres in them mean nothing."]
    return Volume(values, matrix_of(case.spacing or (1.5, 1.0, 1.0)), path.name,
                  {"source": str(path), "format": "blosc2", "notes": notes})
