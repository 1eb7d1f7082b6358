"""Reading NIfTI with nibabel, in the file's own integer type where it holds HU directly."""

from __future__ import annotations

import zlib
from pathlib import Path

import nibabel
import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.volume import Volume


def read_nifti(path: Path) -> Volume:
    """A 3-D NIfTI file as a Volume; scl_slope and scl_inter are applied once.

    Raises:
        VolumeError: not NIfTI, truncated, colour, several frames, no geometry, values that are not numbers.
    """
    try:
        image = nibabel.load(path)
        if image.get_data_dtype().fields is not None:
            raise VolumeError(f"{path.name} is a colour image (RGB), not a CT with HU values. "
                              "Choose the scan itself instead of a picture or map made from it.")
        array = _values(image)
    except (nibabel.filebasedimages.ImageFileError, nibabel.spatialimages.HeaderDataError) as error:
        raise VolumeError(f"{path.name} is not a NIfTI image that can be read: {error}.") from error
    except (EOFError, OSError, zlib.error, ValueError) as error:
        raise VolumeError(f"{path.name} is damaged or cut off ({error}). Copy or export the file again.") from error
    array = _one_frame(array, path.name)
    return Volume(array, image.affine, path.name, {"source": str(path), "format": "NIfTI", **_geometry(image, path)})


def _values(image) -> np.ndarray:
    """(Z, Y, X[, frames...]) with slope and intercept applied; integers stay integers where they fit int16."""
    slope, intercept = image.dataobj.slope, image.dataobj.inter
    raw = np.asanyarray(image.dataobj.get_unscaled())
    if slope == 1 and float(intercept).is_integer() and raw.dtype.kind in "iu":
        values = raw if intercept == 0 else raw.astype(np.int32) + int(intercept)
        if values.dtype != np.int16 and values.min() >= -32768 and values.max() <= 32767:
            values = values.astype(np.int16)
    else:
        values = raw.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    if values.dtype.kind == "f":
        values = values.astype(np.float32, copy=False)
        if not np.isfinite(values).all():
            raise VolumeError(f"{np.count_nonzero(~np.isfinite(values))} voxels of the image are not numbers (NaN or "
                              "infinite). Replace them, for example by -1000 HU outside the body, and save again.")
    return values.transpose()


def _one_frame(array: np.ndarray, name: str) -> np.ndarray:
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > 3:
        raise VolumeError(f"{name} has {array.shape[0]} frames (4-D); one CT volume is expected. "
                          "Split the series and choose one time point.")
    if array.ndim < 3:
        raise VolumeError(f"{name} has {array.ndim} dimensions; a CT volume has 3. Choose the whole series.")
    return array


def _geometry(image, path: Path) -> dict:
    header = image.header
    if float(np.abs(np.linalg.det(image.affine[:3, :3]))) < 1e-9 or min(header.get_zooms()[:3]) <= 0:
        raise VolumeError(f"{path.name} has no usable voxel size (spacing {tuple(map(float, header.get_zooms()[:3]))} "
                          "mm). Correct the header or export the scan again.")
    notes = []
    if hasattr(header, "get_sform") and int(header["sform_code"]) == 0 and int(header["qform_code"]) == 0:
        notes.append("The file carries no orientation; its axes were taken as they stand. Check left and right.")
    elif hasattr(header, "get_sform") and int(header["sform_code"]) > 0 and int(header["qform_code"]) > 0 \
            and not np.allclose(header.get_sform(), header.get_qform(), atol=0.1):
        notes.append("The file's two orientations (sform, qform) disagree; sform was used.")
    return {"notes": notes}
