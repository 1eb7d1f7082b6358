"""Overlap of masks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def dice(predicted: np.ndarray, truth: np.ndarray, ids: Iterable[int]) -> np.ndarray:
    """Dice per label id: NaN where neither has it, 0 where only one has."""
    rows = []
    for number in ids:
        found, actual = predicted == number, truth == number
        total = found.sum() + actual.sum()
        rows.append(2 * (found & actual).sum() / total if total else np.nan)
    return np.array(rows, dtype=float)


def lesion_dice(predicted: np.ndarray, truth: np.ndarray, label: int, spacing: tuple[float, float, float],
                at_least_mm: float = 10.0) -> float:
    """Dice of one lesion label of one case, counted only where its largest true lesion reaches `at_least_mm`.

    Args:
        spacing: (z, y, x) mm.

    Returns:
        Dice of the label, NaN where no true lesion is that long (its extent along some axis).
    """
    from scipy import ndimage

    actual = truth == label
    if not actual.any():
        return float("nan")
    parts, _ = ndimage.label(actual, np.ones((3, 3, 3)))
    longest = max(max((side.stop - side.start) * step for side, step in zip(box, spacing, strict=True))
                  for box in ndimage.find_objects(parts))
    if longest < at_least_mm:
        return float("nan")
    return float(dice(predicted, truth, [label])[0])
