"""Linear resampling, one axis after the other, with weights that are exact in millimetres."""

from __future__ import annotations

import numpy as np


def axis_weights(n_in: int, n_out: int, start: float, step: float) -> np.ndarray:
    """(n_out, n_in) float32 weights; output g lies at input index ``start + g * step``.

    Linear interpolation, widened to a triangle of half-width `step` when that is more than one input voxel, so that
    nothing between two outputs is lost. Rows sum to 1; rows that see no input are 0.
    """
    place = start + step * np.arange(n_out)[:, None]
    weights = np.clip(1 - np.abs(np.arange(n_in)[None] - place) / max(1.0, step), 0, None)
    outside = (place[:, 0] < -0.5) | (place[:, 0] > n_in - 0.5)
    nearest = np.clip(np.rint(place[:, 0]), 0, n_in - 1).astype(int)
    empty = weights.sum(1) < 1e-6
    weights[empty, nearest[empty]] = 1  # within half a voxel of the border
    weights[outside] = 0
    total = weights.sum(1, keepdims=True)
    return (weights / np.where(total > 0, total, 1)).astype(np.float32)


def resample(array: np.ndarray, weights: tuple[np.ndarray, np.ndarray, np.ndarray], slab: int = 32,
             prepare=lambda part: part) -> np.ndarray:
    """(Z, Y, X) through one weight matrix per axis, in slabs of z so that no float copy of the whole is made.

    `prepare` maps each slab before it is used.
    """
    import torch

    along_z, along_y, along_x = (torch.from_numpy(matrix) for matrix in weights)
    flat = torch.empty((array.shape[0], len(along_y), len(along_x)))
    rows = along_x.T.contiguous()
    for first in range(0, array.shape[0], slab):
        part = np.ascontiguousarray(prepare(array[first : first + slab]), dtype=np.float32)
        flat[first : first + slab] = along_y @ (torch.from_numpy(part) @ rows)
    out = along_z @ flat.flatten(1)
    return out.reshape(len(along_z), *flat.shape[1:]).numpy()
