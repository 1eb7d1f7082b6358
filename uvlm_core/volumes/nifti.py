"""Reading NIfTI-1 and NIfTI-2: nibabel understands the header, the voxels are streamed into their final place."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.byte_stream import MOST_RATIO, is_gzip, unpacked
from uvlm_core.volumes.values import HounsfieldBuffer
from uvlm_core.volumes.volume import Volume

DISAGREE_MM = 1.0
UNIT_FACTORS = {1: 1000.0, 3: 0.001}  # NIfTI xyzt_units: metre, micrometre
PLAUSIBLE_MM = (20.0, 2500.0)


def read_nifti(path: Path) -> Volume:
    """A 3-D NIfTI file (.nii, .nii.gz, .hdr + .img) as a Volume; scl_slope and scl_inter are applied once.

    Raises:
        VolumeError: not NIfTI, truncated, colour, several frames, no geometry, values that are not numbers.
    """
    header, single_file = _header(path)
    shape = _shape(header, path.name)
    stored = _stored_type(header, path.name)
    matrix, notes = _geometry(header, shape, path.name)
    data_path = path if single_file else _image_of_pair(path)
    slope, intercept = header.get_slope_inter()
    buffer = HounsfieldBuffer(int(np.prod(shape)), stored, 1.0 if slope is None else slope, intercept or 0.0)
    try:
        _fill(buffer, data_path, int(header["vox_offset"]) if single_file else 0, stored)
        values = buffer.finish()
    except VolumeError as error:
        raise VolumeError(_named(error, path.name)) from error
    return Volume(values.reshape(shape[::-1]), matrix, path.name,
                  {"source": str(path), "format": "NIfTI", "notes": notes})


def read_geometry(path: Path) -> tuple[tuple[int, int, int], np.ndarray]:
    """Shape (Z, Y, X) and ijk_to_ras of a NIfTI file, without its voxels.

    Raises:
        VolumeError: not a NIfTI image, or one that `read_nifti` refuses for its header.
    """
    header, _ = _header(path)
    shape = _shape(header, path.name)
    return shape[::-1], _geometry(header, shape, path.name)[0]


def _named(error: VolumeError, name: str) -> str:
    text = str(error)
    return text if name in text else f"{name}: {text}"


def _header(path: Path):
    """The header and whether the voxels follow it in the same file."""
    import nibabel

    stream = unpacked(path)
    start = b""
    while len(start) < 544 and (chunk := next(stream, b"")):
        start += chunk[:4096]
    for kind, size, single, pair in ((nibabel.Nifti1Header, 348, b"n+1", b"ni1"),
                                     (nibabel.Nifti2Header, 540, b"n+2", b"ni2")):
        if len(start) >= size and size in (int.from_bytes(start[:4], "little"), int.from_bytes(start[:4], "big")):
            magic = start[344:347] if size == 348 else start[4:7]
            if magic in (single, pair):
                return kind.from_fileobj(io.BytesIO(start[:size]), check=False), magic == single
            raise VolumeError(f"{path.name} is an Analyze 7.5 image, which does not say where left and right are. "
                              "Export the scan as NIfTI, NRRD or DICOM.")
    raise VolumeError(f"{path.name} is not a NIfTI image: its first bytes are not a NIfTI header. Check the file, "
                      "or export the scan again.")


def _shape(header, name: str) -> tuple[int, int, int]:
    """(i, j, k), frames of length one removed."""
    shape = tuple(int(size) for size in header.get_data_shape())
    frames = [size for size in shape[3:] if size != 1]
    if frames:
        kind = "colour or vector values per voxel" if len(shape) == 5 and shape[3] == 1 else "frames (4-D)"
        raise VolumeError(f"{name} has {int(np.prod(frames))} {kind}; one CT volume is expected. Split the series and "
                          "choose one time point, for example with 3D Slicer or nibabel.four_to_three.")
    if len(shape) < 3 or min(shape) < 1:
        raise VolumeError(f"{name} has the size {' x '.join(map(str, shape)) or 'of nothing'}; a CT volume has three "
                          "dimensions. Choose the whole series instead of a single slice.")
    return shape[:3]


def _stored_type(header, name: str) -> np.dtype:
    import nibabel

    try:
        stored = header.get_data_dtype()
    except nibabel.spatialimages.HeaderDataError as error:
        raise VolumeError(f"{name} stores its voxels as an unknown type ({error}). Export the scan again.") from error
    if stored.fields is not None:
        raise VolumeError(f"{name} is a colour image (RGB), not a CT with HU values. "
                          "Choose the scan itself instead of a picture or map made from it.")
    if stored.kind not in "iuf":
        raise VolumeError(f"{name} stores voxels of type {stored}; whole or real numbers in HU are expected. "
                          "Export the scan again as 16-bit integers.")
    return stored


def _geometry(header, shape, name: str) -> tuple[np.ndarray, list[str]]:
    """ijk_to_ras and what the user should know about it."""
    import nibabel

    notes = []
    has_sform, has_qform = int(header["sform_code"]) > 0, int(header["qform_code"]) > 0
    try:
        matrix = np.asarray(header.get_best_affine(), dtype=np.float64)
    except (nibabel.spatialimages.HeaderDataError, ValueError) as error:
        raise VolumeError(f"{name} has no usable orientation ({error}). Export the scan again.") from error
    size = np.linalg.norm(matrix[:3, :3], axis=0)
    flat = not np.isfinite(matrix).all() or size.min() < 1e-6
    if flat or abs(np.linalg.det(matrix[:3, :3] / size)) < 1e-3:
        found = " x ".join(f"{value:g}" for value in size[::-1])
        raise VolumeError(f"{name} has no usable voxel size or orientation (spacing {found} mm along z, y, x). "
                          "Correct the header or export the scan again.")
    if not has_sform and not has_qform:
        notes.append("The file carries no orientation; its axes were taken as they stand. Check left and right.")
    if has_sform and has_qform:
        shift = _disagreement(header, matrix, shape)
        if shift > DISAGREE_MM:
            notes.append(f"The file's two orientations (sform and qform) disagree by up to {shift:.0f} mm; "
                         "sform was used. Check left and right.")
    return _in_mm(matrix, header, shape, notes), notes


def _disagreement(header, matrix, shape) -> float:
    """Largest distance in mm between the places that sform and qform give to a corner."""
    try:
        other = header.get_qform()
    except Exception:  # a damaged quaternion beside a sound sform
        return 0.0
    corners = np.array(np.meshgrid(*([0, n - 1] for n in shape), [1], indexing="ij")).reshape(4, -1)
    return float(np.linalg.norm(((matrix - other) @ corners)[:3], axis=0).max())


def _in_mm(matrix, header, shape, notes) -> np.ndarray:
    """Matrices in metres or micrometres are brought to mm, where the header says so and it makes sense."""
    factor = UNIT_FACTORS.get(int(header["xyzt_units"]) & 7)
    if factor is None:
        return matrix
    extent = np.linalg.norm(matrix[:3, :3], axis=0) * shape
    if not ((extent * factor > PLAUSIBLE_MM[0]) & (extent * factor < PLAUSIBLE_MM[1])).all():
        return matrix
    notes.append(f"The file gives its geometry in {'metres' if factor > 1 else 'micrometres'}; brought to mm.")
    out = matrix.copy()
    out[:3] *= factor
    return out


def _image_of_pair(path: Path) -> Path:
    stem = path.name.removesuffix(".gz").removesuffix(".hdr")
    for name in (f"{stem}.img", f"{stem}.img.gz"):
        if path.with_name(name).exists():
            return path.with_name(name)
    raise VolumeError(f"{path.name} is the header of a pair of files; its voxels should be in {stem}.img beside it. "
                      "Copy both files, or export the scan as .nii.gz.")


def _fill(buffer: HounsfieldBuffer, path: Path, offset: int, stored: np.dtype) -> None:
    """Streams the voxels into the buffer; what follows them is ignored but must still unpack."""
    needed = len(buffer.values) * stored.itemsize
    size = path.stat().st_size
    if size * (MOST_RATIO if is_gzip(path) else 1) < needed + offset:
        raise VolumeError(f"{path.name} is cut off: {needed + offset} bytes of voxels are expected, the file has {size}"
                          " bytes. Copy or download the file again.")
    skip, rest, done = offset, b"", 0
    for chunk in unpacked(path):
        if skip >= len(chunk):
            skip -= len(chunk)
            continue
        chunk, skip = rest + chunk[skip:], 0
        chunk = chunk[: needed - done]
        whole = len(chunk) // stored.itemsize * stored.itemsize
        buffer.add(np.frombuffer(chunk, stored, whole // stored.itemsize))
        rest, done = chunk[whole:], done + whole
    if done < needed:
        raise VolumeError(f"{path.name} is cut off: {done} of {needed} bytes of voxels are there. "
                          "Copy or download the file again.")
