"""Where the decoder looked: attention to vision tokens, folded back to the scan in millimetres.

No torch here: arrays in, arrays out, so that viewers can use it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def fold_attention(attention: np.ndarray, grid: Sequence[int], tokens: slice | None = None,
                   contrast: bool = True) -> np.ndarray:
    """Attention of a range of generated tokens as low-resolution volumes.

    Args:
        attention: (T, groups, N), one row per generated token; vision tokens in raster order z, y, x.
        grid: (z, y, x) with z * y * x = N.
        tokens: the range of a sentence; None takes all.
        contrast: subtract the mean over all T tokens and cut at 0. Some vision tokens attract attention whatever is
            written; what is left is where this range looks more than the text as a whole. Without effect when the
            range is the whole text.

    Returns:
        (groups, z, y, x) float32.

    Raises:
        ValueError: N does not fit the grid, or the range is empty.
    """
    attention = np.asarray(attention, np.float32)
    grid = tuple(int(size) for size in grid)
    if attention.ndim != 3 or attention.shape[2] != int(np.prod(grid)):
        raise ValueError(f"attention must be (T, groups, {int(np.prod(grid))}) for the grid {grid}; "
                         f"found {attention.shape}.")
    chosen = attention if tokens is None else attention[tokens]
    if len(chosen) == 0:
        raise ValueError(f"The token range {tokens} of {len(attention)} tokens is empty.")
    mean = chosen.mean(0)
    if contrast and len(chosen) < len(attention):
        mean = np.maximum(mean - attention.mean(0), 0)
    return mean.reshape(-1, *grid)


def token_ijk_to_ras(ijk_to_ras: np.ndarray, stride: Sequence[int]) -> np.ndarray:
    """4x4 from token index (i along x, j, k) to RAS mm, for tokens of `stride` (z, y, x) voxels of the model grid.

    The centre of token t lies at voxel (t + 1/2) * stride - 1/2.
    """
    size = np.array(stride[::-1], float)
    to_voxel = np.diag([*size, 1.0])
    to_voxel[:3, 3] = (size - 1) / 2
    return np.asarray(ijk_to_ras, float) @ to_voxel


def attention_peak(volume: np.ndarray, ijk_to_ras: np.ndarray, stride: Sequence[int]) -> tuple[float, float, float]:
    """RAS mm of the centre of the token with the highest attention.

    Args:
        volume: (z, y, x), or (groups, z, y, x), whose groups are then averaged after each is scaled to sum 1.
        ijk_to_ras: 4x4 of the model grid.
        stride: (z, y, x) voxels of the model grid per token.
    """
    volume = np.asarray(volume, np.float64)
    if volume.ndim == 4:
        total = volume.sum((1, 2, 3), keepdims=True)
        volume = (volume / np.where(total > 0, total, 1)).mean(0)
    z, y, x = np.unravel_index(int(volume.argmax()), volume.shape)
    point = token_ijk_to_ras(ijk_to_ras, stride) @ np.array([x, y, z, 1.0])
    return float(point[0]), float(point[1]), float(point[2])
