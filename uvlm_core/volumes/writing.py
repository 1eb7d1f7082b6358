"""Writing NIfTI: beside the target first, then renamed, so that a half-written file is never seen."""

from __future__ import annotations

import os
import zlib
from pathlib import Path

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.volume import Volume

SLAB_BYTES = 1 << 23
LEVEL = 3  # label maps shrink hundredfold at any level; this one takes half a second for 512 x 512 x 300
GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name and no time: equal data give equal bytes


def write_labelmap(path: str | Path, labels: np.ndarray, like: Volume) -> Path:
    """A label map (Z, Y, X) on the grid of `like` as .nii or .nii.gz of unsigned integers.

    Raises:
        VolumeError: another shape than the volume's, values that are no labels, or the file cannot be written.
    """
    if labels.shape != like.shape:
        raise VolumeError(f"The label map has {labels.shape} voxels (z, y, x), its scan {like.shape}; they must agree.")
    if labels.dtype != np.uint8:
        if labels.dtype.kind not in "iub" or labels.min() < 0 or labels.max() > 255:
            raise VolumeError(f"A label map holds whole numbers from 0 to 255; found {labels.dtype}.")
        labels = labels.astype(np.uint8)
    return _write(Path(path), labels, like.ijk_to_ras)


def write_volume(path: str | Path, volume: Volume) -> Path:
    """A volume as .nii or .nii.gz in its own type (int16 or float32).

    Raises:
        VolumeError: the file cannot be written.
    """
    return _write(Path(path), volume.array, volume.ijk_to_ras)


def _write(path: Path, array: np.ndarray, matrix: np.ndarray) -> Path:
    if not path.name.endswith((".nii", ".nii.gz")):
        raise VolumeError(f"{path.name}: volumes are written as .nii.gz or .nii; choose such a name.")
    header = _header(array, matrix)
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        with open(beside, "wb") as file:
            _stream(file, header, array, packed=path.name.endswith(".gz"))
        os.replace(beside, path)
    except OSError as error:
        raise VolumeError(f"{path} cannot be written: {error.strerror or error}. Check the folder, its access rights "
                          "and the free space.") from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _header(array: np.ndarray, matrix: np.ndarray) -> bytes:
    """The 352 bytes before the voxels: sform always, qform too where it can express the matrix (no shear)."""
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(array.dtype.newbyteorder("<"))
    header.set_data_shape(array.shape[::-1])
    header.set_xyzt_units("mm")
    header.set_slope_inter(1, 0)
    header.set_zooms(np.linalg.norm(matrix[:3, :3], axis=0))
    header.set_sform(matrix, code=1)
    header.set_qform(matrix, code=1, strip_shears=True)
    if not np.allclose(header.get_qform(), matrix, atol=0.05):
        header["qform_code"] = 0
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    return header.binaryblock + b"\0\0\0\0"


def _stream(file, header: bytes, array: np.ndarray, packed: bool) -> None:
    rows = max(1, SLAB_BYTES // max(1, array[0].nbytes))
    parts = (np.ascontiguousarray(array[first : first + rows], array.dtype.newbyteorder("<")).tobytes()
             for first in range(0, len(array), rows))
    if not packed:
        file.write(header)
        for part in parts:
            file.write(part)
        return
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    checksum, size = zlib.crc32(header), len(header)
    file.write(GZIP_HEADER + engine.compress(header))
    for part in parts:
        checksum, size = zlib.crc32(part, checksum), size + len(part)
        file.write(engine.compress(part))
    file.write(engine.flush() + checksum.to_bytes(4, "little") + (size & 0xFFFFFFFF).to_bytes(4, "little"))
