"""One entry for every kind of scan: NIfTI, NRRD, MetaImage, DICOM."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.volume import Volume

if TYPE_CHECKING:
    from uvlm_core.volumes.dicom_series import SeriesInfo

ITK_SUFFIXES = (".nrrd", ".nhdr", ".mha", ".mhd")
NIFTI_SUFFIXES = (".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".7z", ".rar", ".xz", ".bz2")
ARCHIVE_MAGIC = (b"PK\x03\x04", b"PK\x05\x06", b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ", b"BZh")
PICTURE_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*", b"%PDF")
READABLE = "a NIfTI, NRRD or MetaImage file, or a DICOM folder"


def read_volume(path: str | Path, series: str | None = None, notify: Callable[[str], None] | None = None) -> Volume:
    """A scan file or DICOM folder as a Volume. The input is only ever opened for reading.

    Args:
        path: .nii, .nii.gz, .nrrd, .nhdr, .mha, .mhd, a DICOM file, or a folder (tree) of DICOM files.
        series: of a DICOM folder: SeriesInstanceUID or series number; None takes the CT series with the most slices.
        notify: called with one sentence for everything that the user should know, such as which of several series
            was taken. The same sentences are in ``meta["notes"]``.

    Raises:
        VolumeError: with what was wrong, what was expected, what was found and what to do.
    """
    path = Path(path).expanduser()
    try:
        volume = _read(path, series, notify or (lambda text: None))
    except PermissionError as error:
        raise VolumeError(f"{path.name} may not be read: permission denied. Ask for read access, or copy it to a "
                          "folder of your own.") from error
    except MemoryError as error:
        raise VolumeError(f"{path.name} does not fit into the memory. Crop or resample it first.") from error
    except OSError as error:
        raise VolumeError(f"{path.name} cannot be read: {error.strerror or error}. Check the disk.") from error
    return volume


def _read(path: Path, series: str | None, notify: Callable[[str], None]) -> Volume:
    if not path.exists():
        raise VolumeError(f"There is no file or folder at {path}. Check the path.")
    name = path.name.lower()
    if path.is_dir():
        return _dicom(path, series, notify)
    if path.stat().st_size == 0:
        raise VolumeError(f"{path.name} is empty (0 bytes). Copy or download the file again.")
    _refuse_archives(path)
    volume = None
    if name.endswith(ITK_SUFFIXES):
        from uvlm_core.volumes.itk_file import read_itk_file

        volume = read_itk_file(path)
    elif name.endswith((".img", ".img.gz")):
        header = path.with_name(path.name.replace(".img", ".hdr"))
        if not header.exists():
            raise VolumeError(f"{path.name} holds voxels without their header, which should be {header.name} beside "
                              "it. Copy both files, or export the scan as .nii.gz.")
        path, name = header, header.name.lower()
    if volume is None and (name.endswith(NIFTI_SUFFIXES) or _looks_like_nifti(path)):
        from uvlm_core.volumes.nifti import read_nifti

        volume = read_nifti(path)
    if volume is None:
        return _dicom_file(path, series, notify)
    if series is not None:
        volume.meta["notes"].append(f"{path.name} holds one volume; the series '{series}' that was asked for is only "
                                    "looked for in DICOM folders.")
    for note in volume.meta["notes"]:
        notify(note)
    return volume


def _dicom(path: Path, series: str | None, notify: Callable[[str], None]) -> Volume:
    from uvlm_core.volumes.dicom import read_dicom

    return read_dicom(path, series, notify)


def _dicom_file(path: Path, series: str | None, notify: Callable[[str], None]) -> Volume:
    from uvlm_core.volumes.dicom_headers import is_dicom

    if not is_dicom(path):
        with open(path, "rb") as file:
            start = file.read(8)
        kind = "a picture or document" if start.startswith(PICTURE_MAGIC) else "of an unknown kind"
        raise VolumeError(f"{path.name} is {kind}, not a scan. Expected is {READABLE}.")
    if path.name.upper() == "DICOMDIR":
        return _dicom(path.parent, series, notify)
    return _dicom(path, series, notify)


def _looks_like_nifti(path: Path) -> bool:
    """A NIfTI file under another name, compressed or not."""
    from uvlm_core.volumes.byte_stream import is_gzip

    if is_gzip(path):
        return True  # nothing else that is read here is gzip-compressed as a whole
    with open(path, "rb") as file:
        return file.read(4) in (b"\x5c\x01\x00\x00", b"\x00\x00\x01\x5c", b"\x1c\x02\x00\x00", b"\x00\x00\x02\x1c")


def _refuse_archives(path: Path) -> None:
    with open(path, "rb") as file:
        start = file.read(265)
    if path.name.lower().endswith(ARCHIVE_SUFFIXES) or start.startswith(ARCHIVE_MAGIC) or start[257:262] == b"ustar":
        raise VolumeError(f"{path.name} is an archive. Unpack it first and choose {READABLE} from it.")


def list_series(folder: str | Path) -> list[SeriesInfo]:
    """The image series of a DICOM file or folder tree; see `dicom_series.list_series`."""
    from uvlm_core.volumes.dicom_series import list_series as list_dicom_series

    return list_dicom_series(Path(folder).expanduser())


def input_hash(path: str | Path) -> str:
    """sha256 (hex) over a file's bytes, or over the bytes of all files of a folder in the order of their paths.

    Raises:
        VolumeError: the path is missing or may not be read.
    """
    path = Path(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    try:
        for file in files:
            with open(file, "rb") as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
    except OSError as error:
        raise VolumeError(f"{path.name} cannot be read: {error.strerror or error}. "
                          "Check the path and its access rights.") from error
    return digest.hexdigest()
