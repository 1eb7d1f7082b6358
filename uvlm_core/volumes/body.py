"""Where the body is in a scan."""

from __future__ import annotations

import numpy as np

BODY_HU = -300  # between lung and fat
COARSE_MM = 5.0


def body_box(turned: np.ndarray, spacing: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of the body along (z, y, x); all slices along z, the whole array where there is no body.

    Args:
        turned: (Z, Y, X) HU.
        spacing: (3,) mm.
    """
    from scipy import ndimage

    strides = [max(1, int(COARSE_MM / step)) for step in spacing]
    coarse = turned[tuple(slice(None, None, by) for by in strides)] > BODY_HU
    whole = [(0, size - 1) for size in turned.shape]
    opened = ndimage.binary_opening(coarse, np.ones((1, 3, 3)))  # cuts the table from the back
    parts, count = ndimage.label(opened)
    if count == 0:
        return whole
    sizes = np.bincount(parts.ravel())[1:]
    body = np.isin(parts, np.flatnonzero(sizes > 0.2 * sizes.max()) + 1)
    box = [whole[0]]
    for axis in (1, 2):
        found = np.flatnonzero(body.any(tuple({0, 1, 2} - {axis})))
        # the opening took one coarse voxel at most; the body's edge lies within it
        low, high = (found[0] - 1) * strides[axis], (found[-1] + 2) * strides[axis]
        box.append((max(0, int(low)), min(turned.shape[axis] - 1, int(high))))
    return box


def near_body(hu: np.ndarray) -> np.ndarray:
    """(Z, Y, X) bool of HU on a grid of some millimetres: the body's tissue and what lies within three voxels of it.

    The shell and the pad of a table are thinner than a body, or lie apart from it.
    """
    from scipy import ndimage

    solid = ndimage.binary_opening(hu > BODY_HU, iterations=2)
    parts, count = ndimage.label(solid)
    if count == 0:
        return np.ones(hu.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return ndimage.binary_dilation(parts == sizes.argmax(), iterations=3)
