"""How sure the segmentation is of the surest part of each finding's mask.

False lesions are many, small and half sure; true ones are one part of which nearly every voxel is sure. The volume of
the whole mask and its highest voxels do not tell them apart, the mean over one connected part does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

N_PART_EVIDENCE = 2  # sureness of the surest part, log(1 + ml) of that part
LEAST_PART_ML = 0.2  # a smaller part is a speck, whatever its mean
UNSURE = 0.6  # a mean of this much or less says nothing
EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)


def part_evidence(winner: np.ndarray, sureness: np.ndarray, channels: Sequence[int | None],
                  voxel_ml: float) -> np.ndarray:
    """Evidence per finding from the parts of its mask that are connected, diagonals included.

    Args:
        winner: (Z, Y, X) uint8 channel with the highest probability.
        sureness: (Z, Y, X) float32, that probability.
        channels: of each finding's mask; None where no mask shows it.
        voxel_ml: of the grid.

    Returns:
        (F, 2) float32: 0 to 1, how far the mean probability of the surest part is above 0.6; log(1 + its ml).
        Zeros where no part of at least 0.2 ml has a mean above 0.6.
    """
    boxes = ndimage.find_objects(winner)
    found = {channel: _surest(winner[boxes[channel - 1]] == channel, sureness[boxes[channel - 1]], voxel_ml)
             for channel in set(channels) - {None} if channel <= len(boxes) and boxes[channel - 1] is not None}
    return np.array([found.get(channel, (0.0, 0.0)) for channel in channels], np.float32)


def _surest(mask: np.ndarray, sureness: np.ndarray, voxel_ml: float) -> tuple[float, float]:
    parts, _ = ndimage.label(mask, EVERY_NEIGHBOUR)
    sizes = np.bincount(parts.ravel())
    means = np.bincount(parts.ravel(), sureness.ravel()) / np.maximum(sizes, 1)
    means[0] = 0
    means[sizes * voxel_ml < LEAST_PART_ML] = 0
    surest = int(means.argmax())
    if means[surest] <= UNSURE:
        return 0.0, 0.0
    return float((means[surest] - UNSURE) / (1 - UNSURE)), float(np.log1p(sizes[surest] * voxel_ml))
