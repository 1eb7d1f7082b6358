"""Arrays that travel as .npy files: opened without pickle, mapped into memory, never changed."""

from __future__ import annotations

import hashlib

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.values import narrowed
from uvlm_core.volumes.volume import Volume

SLAB = 1 << 22


def open_array(path: str, what: str) -> np.ndarray:
    """A .npy file as an array. It is mapped copy-on-write: the file is opened for reading and cannot be changed by it.

    Args:
        what: name of the array in messages, such as "mask".

    Raises:
        VolumeError: there is no such file, or it is no complete .npy of plain numbers.
    """
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except FileNotFoundError as error:
        raise VolumeError(f"There is no file at {path}, where the {what} should be.") from error
    except (ValueError, EOFError) as error:
        raise VolumeError(f"The {what} in {path} cannot be read: a complete .npy file of numbers is expected "
                          f"({error}).") from error
    except OSError as error:
        raise VolumeError(f"The {what} in {path} cannot be read: {error.strerror or error}.") from error
    if not isinstance(array, np.ndarray):
        array.close()
        raise VolumeError(f"The {what} in {path} is an archive; one .npy file is expected.")
    return array


def open_volume(path: str, ijk_to_ras: list, name: str, meta: dict) -> Volume:
    """A scan from a .npy file (Z, Y, X) of HU and its 4x4.

    Raises:
        VolumeError: it has other dimensions, no voxels, or values that are no HU; or a damaged geometry.
    """
    return Volume(hounsfield(open_array(path, "volume"), "volume"), np.array(ijk_to_ras, float), name, dict(meta))


def hounsfield(array: np.ndarray, what: str) -> np.ndarray:
    """The array as int16 where that is exact, else float32, in C order; not copied where it is so already.

    Raises:
        VolumeError: it is no 3-D array of finite numbers.
    """
    if array.ndim != 3 or array.size == 0:
        raise VolumeError(f"The {what} has the shape {array.shape}; three dimensions (z, y, x) are expected. "
                          "Choose one frame of a sequence, and a grey image instead of a colour one.")
    if array.dtype.kind not in "iuf":
        raise VolumeError(f"The {what} holds values of the type {array.dtype}; HU are integers or floats.")
    return np.ascontiguousarray(narrowed(array))


def open_mask(path: str) -> np.ndarray:
    """(Z, Y, X) bool.

    Raises:
        VolumeError: see `open_array`; or it is no 3-D array of whole numbers.
    """
    mask = open_array(path, "mask")
    if mask.ndim != 3 or mask.dtype.kind not in "biu":
        raise VolumeError(f"The mask in {path} is {mask.dtype} of the shape {mask.shape}; bool or whole numbers of "
                          "three dimensions (z, y, x) are expected.")
    return mask if mask.dtype == bool else mask != 0


def open_labels(path: str) -> np.ndarray:
    """(Z, Y, X) uint8 label map.

    Raises:
        VolumeError: see `open_array`; or it is no 3-D array of 8-bit numbers.
    """
    labels = open_array(path, "label map")
    if labels.ndim != 3 or labels.dtype != np.uint8 or labels.size == 0:
        raise VolumeError(f"The label map in {path} is {labels.dtype} of the shape {labels.shape}; uint8 of three "
                          "dimensions (z, y, x) is expected.")
    return labels


def array_hash(volume: Volume) -> str:
    """sha256 (hex) of a volume's shape, type, matrix and values: equal for equal volumes, however they were stored."""
    values = volume.array
    form = "<i2" if values.dtype == np.int16 else "<f4"
    digest = hashlib.sha256(f"uvlm-volume/1 {form} {'x'.join(map(str, values.shape))}\n".encode("ascii"))
    digest.update(np.ascontiguousarray(volume.ijk_to_ras, "<f8").tobytes())
    flat = values.reshape(-1)
    for first in range(0, len(flat), SLAB):
        digest.update(np.ascontiguousarray(flat[first : first + SLAB], form))
    return digest.hexdigest()
