"""Linear resampling, one axis after the other, with weights that are exact in millimetres."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

BLOCK = 32  # outputs per matrix product: few enough that the band of inputs stays narrow


def axis_weights(n_in: int, n_out: int, start: float, step: float, border: float = 0.5) -> np.ndarray:
    """(n_out, n_in) float32 weights; output g lies at input index ``start + g * step``.

    Linear interpolation, widened to a triangle of half-width `step` when that is more than one input voxel, so that
    nothing between two outputs is lost. Rows sum to 1; rows that see no input are 0. The centre of gravity of a row is
    exactly its place (a sampled triangle alone would be off by up to a third of a voxel), except at the borders: an
    output sees the outermost input up to `border` input voxels beyond its centre.
    """
    place = start + step * np.arange(n_out)[:, None]
    away = np.arange(n_in)[None] - place
    reach = max(1.0, step)
    weights = np.clip(1 - np.abs(away) / reach, 0, None)
    whole = (place[:, 0] - reach > -1) & (place[:, 0] + reach < n_in)
    offset, spread = (weights * away).sum(1), (weights * away**2).sum(1)
    lean = np.where(whole & (spread > 1e-9), offset / np.maximum(spread, 1e-9), 0)
    weights = np.clip(weights * (1 - lean[:, None] * away), 0, None)
    outside = (place[:, 0] < -border) | (place[:, 0] > n_in - 1 + border)
    nearest = np.clip(np.rint(place[:, 0]), 0, n_in - 1).astype(int)
    empty = weights.sum(1) < 1e-6
    weights[empty, nearest[empty]] = 1
    weights[outside] = 0
    total = weights.sum(1, keepdims=True)
    return (weights / np.where(total > 0, total, 1)).astype(np.float32)


def used_range(weights: np.ndarray) -> slice:
    """Inputs that have any weight, as one slice (one input where none has)."""
    used = np.flatnonzero(weights.any(0))
    return slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 1)


def bands(weights: np.ndarray) -> list[tuple[slice, slice]]:
    """(outputs, inputs) of a weight matrix in blocks outside of which it is zero."""
    blocks = [slice(first, min(first + BLOCK, len(weights))) for first in range(0, len(weights), BLOCK)]
    return [(block, used_range(weights[block])) for block in blocks]


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch without its threads: the products of one slice are so small that waiting for threads costs more."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def resample(array: np.ndarray, weights: tuple[np.ndarray, np.ndarray, np.ndarray],
             fill: Callable | None = None) -> np.ndarray:
    """(Z, Y, X) through one weight matrix per axis, slice by slice in buffers that are used again.

    No float copy of the whole array is made, and a slice stays in the processor's cache through both products.

    Args:
        array: any number type; only the part that has weight is touched.
        weights: three (outputs, inputs) float32.
        fill: writes a slice, a torch tensor of the array's type, into a float32 tensor of its shape; copies if None.

    Returns:
        (outputs of axis 0, of axis 1, of axis 2) float32.
    """
    import torch

    ranges = [used_range(matrix) for matrix in weights]
    first, second, third = (torch.from_numpy(np.ascontiguousarray(matrix[:, used]))
                            for matrix, used in zip(weights, ranges, strict=True))
    part = array[tuple(ranges)]
    columns = [(out, used, third[out, used].T.contiguous()) for out, used in bands(third.numpy())]
    rows = [(out, used, second[out, used].contiguous()) for out, used in bands(second.numpy())]
    plane = torch.empty(part.shape[1:])
    narrow = torch.empty((part.shape[1], len(third)))
    small = torch.empty((part.shape[0], len(second), len(third)))
    with one_thread():
        for index, layer in enumerate(part):
            # torch takes no array with reversed axes
            layer = torch.from_numpy(layer if min(layer.strides) > 0 else np.ascontiguousarray(layer))
            fill(layer, plane) if fill else plane.copy_(layer)
            for out, used, matrix in columns:
                torch.mm(plane[:, used], matrix, out=narrow[:, out])
            for out, used, matrix in rows:
                torch.mm(matrix, narrow[used], out=small[index, out])
    return (first @ small.flatten(1)).reshape(len(first), *small.shape[1:]).numpy()
