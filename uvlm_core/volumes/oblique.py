"""The slower way for scans that are sheared (tilted gantry) or turned far from the patient's axes."""

from __future__ import annotations

import numpy as np

from uvlm_core.volumes.volume import Volume

AIR = -1000.0


def straighten(volume: Volume, spacing: tuple[float, float, float], like: Volume | None = None,
               nearest: bool = False) -> Volume:
    """The scan on a grid parallel to S, P, L that holds all of it.

    Args:
        spacing: (z, y, x) mm wanted by the model; the new grid is twice as fine, so that the later step to the model's
            spacing averages.
        like: take the grid from this volume (for its masks).
        nearest: for label maps.
    """
    from scipy.ndimage import affine_transform

    matrix, shape = _straight_grid(like or volume, [step / 2 for step in spacing])
    reverse = volume.ras_to_ijk @ matrix  # (x, y, z) of the new grid -> (i, j, k)
    swapped = reverse[[2, 1, 0]][:, [2, 1, 0, 3]]
    array = affine_transform(volume.array if nearest else volume.array.astype(np.float32), swapped[:, :3], swapped[:, 3],
                             output_shape=shape, order=0 if nearest else 1, mode="constant",
                             cval=0 if nearest else -2048)
    return Volume(array, matrix, volume.name, volume.meta)


def _straight_grid(volume: Volume, spacing) -> tuple[np.ndarray, tuple[int, int, int]]:
    last = np.array(volume.shape[::-1]) - 1
    corners = np.array(np.meshgrid(*([0, n] for n in last), indexing="ij")).reshape(3, -1)
    places = volume.ijk_to_ras[:3, :3] @ corners + volume.ijk_to_ras[:3, 3:]
    low, high = places.min(1), places.max(1)
    step_z, step_y, step_x = spacing
    matrix = np.diag([-step_x, -step_y, step_z, 1.0])
    matrix[:3, 3] = high[0], high[1], low[2]
    extent = high - low
    return matrix, tuple(int(np.ceil(size / step)) + 1
                         for size, step in ((extent[2], step_z), (extent[1], step_y), (extent[0], step_x)))


def scores_by_rotation(scores: np.ndarray, ijk_to_ras: np.ndarray, volume: Volume) -> np.ndarray:
    """Label map on the scan's own array from scores on a grid that is not parallel to it; see `scores_to_scan`."""
    from scipy.ndimage import affine_transform

    forward = np.linalg.inv(ijk_to_ras) @ volume.ijk_to_ras
    swapped = forward[[2, 1, 0]][:, [2, 1, 0, 3]]
    best = np.full(volume.shape, 1e-3, np.float32)
    labels = np.zeros(volume.shape, np.uint8)
    for label, score in enumerate(np.asarray(scores, dtype=np.float32)):
        share = affine_transform(score, swapped[:, :3], swapped[:, 3], output_shape=volume.shape, order=1, cval=0.0)
        better = share > best
        best[better], labels[better] = share[better], label
    return labels
