"""One entry for every kind of scan file."""

from __future__ import annotations

from pathlib import Path

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.nifti import read_nifti
from uvlm_core.volumes.volume import Volume


def read_volume(path: str | Path, series: str | None = None, notify=None) -> Volume:
    """A scan file or DICOM folder as a Volume. Raises VolumeError with the reason where that cannot be."""
    path = Path(path)
    if not path.exists():
        raise VolumeError(f"There is no file or folder at {path}.")
    return read_nifti(path)
