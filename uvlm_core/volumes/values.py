"""From stored numbers to HU in the smallest type that holds them exactly."""

from __future__ import annotations

import numpy as np

from uvlm_core.errors import VolumeError

INT16 = np.iinfo(np.int16)


class HounsfieldBuffer:
    """Collects HU values in file order, chunk by chunk, so that no second copy of a large scan is made.

    Args:
        count: number of voxels.
        stored: numpy type of the stored numbers, any byte order.
        slope, intercept: HU = stored * slope + intercept, applied exactly once.
    """

    def __init__(self, count: int, stored: np.dtype, slope: float, intercept: float):
        self.slope, self.intercept = float(slope), float(intercept)
        self.plain = stored.kind in "iu" and self.slope == 1 and self.intercept == 0
        self.values = np.empty(count, self._kind(stored))
        self.filled = 0

    def _kind(self, stored: np.dtype) -> type:
        """The type that is filled; `finish` narrows it."""
        if self.plain:
            return np.int16 if np.can_cast(stored, np.int16) else np.int32  # 64-bit numbers are checked while they come
        whole = self.slope.is_integer() and self.intercept.is_integer() and abs(self.slope) <= 1000
        return np.int32 if whole and stored.kind in "iu" and stored.itemsize <= 2 else np.float32

    def add(self, chunk: np.ndarray) -> None:
        """Appends stored numbers."""
        end = self.filled + len(chunk)
        place = self.values[self.filled : end]
        if self.plain:
            if self.values.dtype.itemsize < chunk.dtype.itemsize and len(chunk) and \
                    max(abs(int(chunk.min())), abs(int(chunk.max()))) > np.iinfo(self.values.dtype).max:
                raise VolumeError(f"Values up to {int(chunk.max())} are no HU numbers; a CT lies between about -1024 "
                                  "and 3071. Export the scan again as a CT in HU.")
            place[:] = chunk
        elif self.values.dtype == np.int32:
            np.multiply(chunk, int(self.slope), out=place, dtype=np.int32, casting="unsafe")
            place += int(self.intercept)
        else:
            place[:] = chunk.astype(np.float64) * self.slope + self.intercept
        self.filled = end

    def finish(self) -> np.ndarray:
        """(count,) int16 where that is exact, else float32.

        Raises:
            VolumeError: NaN or infinite values.
        """
        return narrowed(self.values)


def narrowed(values: np.ndarray, slab: int = 1 << 22) -> np.ndarray:
    """The same numbers as int16 where that is exact, else as float32; shape kept.

    Raises:
        VolumeError: NaN or infinite values.
    """
    if values.dtype == np.int16:
        return values
    values = np.ascontiguousarray(values)
    flat = values.reshape(-1)
    parts = [flat[first : first + slab] for first in range(0, len(flat), slab)]
    if values.dtype.kind == "f":
        wrong = sum(len(part) - int(np.count_nonzero(np.isfinite(part))) for part in parts)
        if wrong:
            raise VolumeError(f"{wrong} of {len(flat)} voxels are not numbers (NaN or infinite). Replace them, for "
                              "example by -1024 HU outside the imaged region, and save the scan again.")
    if all(_fits(part) for part in parts):
        out = np.empty(flat.shape, np.int16)
        for first, part in zip(range(0, len(flat), slab), parts, strict=True):
            out[first : first + slab] = part
        return out.reshape(values.shape)
    return values.astype(np.float32, copy=False)


def _fits(part: np.ndarray) -> bool:
    """Whether every value is an integer that int16 holds."""
    if part.min() < INT16.min or part.max() > INT16.max:
        return False
    return part.dtype.kind != "f" or bool((part == np.rint(part)).all())
