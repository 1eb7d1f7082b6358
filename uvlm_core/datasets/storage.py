"""Arrays on disk: blosc2 where it is installed, plain .npy otherwise. Both are read whole."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from uvlm_core.errors import CaseError
from uvlm_core.files import write_npy

LEVEL = 5


def has_blosc() -> bool:
    """Whether blosc2 can be imported."""
    try:
        import blosc2  # noqa: F401
    except ImportError:
        return False
    return True


def store_array(folder: Path, name: str, array: np.ndarray, packed: bool) -> Path:
    """Writes folder/name.b2nd (zstd with bit shuffle) or folder/name.npy; OSError where the disk refuses."""
    if not packed:
        path = folder / f"{name}.npy"
        write_npy(path, array)
        return path
    import blosc2

    path = folder / f"{name}.b2nd"
    settings = blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=LEVEL, filters=[blosc2.Filter.BITSHUFFLE], nthreads=1)
    packed_array = blosc2.asarray(np.ascontiguousarray(array), cparams=settings)
    path.write_bytes(packed_array.to_cframe())  # through Python's own file, so that a full disk is an OSError
    return path


def stored_array(folder: Path, name: str) -> np.ndarray:
    """The array of `store_array`. Raises CaseError where it is missing or damaged."""
    packed, plain = folder / f"{name}.b2nd", folder / f"{name}.npy"
    if packed.exists():
        return open_blosc(packed)
    try:
        return np.load(plain, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise CaseError(f"{plain} is missing or damaged ({error}). Delete the folder {folder.name} of the store and "
                        "prepare it again.") from error


def open_blosc(path: Path) -> np.ndarray:
    """The whole array of a .b2nd file. Raises CaseError: blosc2 is not installed, the file is missing or damaged."""
    try:
        import blosc2
    except ImportError as error:
        raise CaseError(f"{path.name} needs blosc2, which is not installed. Install it with "
                        "pip install 'slicer-uvlm[data]'.") from error
    if not path.exists():
        raise CaseError(f"There is no file at {path}. Check the path.")
    try:
        return np.asarray(blosc2.ndarray_from_cframe(path.read_bytes(), copy=True)[...])
    except (RuntimeError, ValueError, TypeError, OSError) as error:
        raise CaseError(f"{path} is damaged or no blosc2 array ({error}). Copy or make it again.") from error


def array_hash(array: np.ndarray) -> str:
    """sha256 over type, shape and values."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()
