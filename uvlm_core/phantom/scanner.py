"""How a phantom is scanned: blur and noise of the reconstruction, table, empty rim; several kinds of scanners."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

BODY_MM = 350.0  # water equivalent of a torso from side to side


def usual(hu: np.ndarray, spacing, rng: np.random.Generator) -> np.ndarray:
    """Blur and correlated noise of a reconstruction kernel, sometimes a table and an empty rim; int16 HU."""
    if rng.random() < 0.5:
        hu = ndimage.gaussian_filter(hu, rng.uniform(0.2, 0.5), truncate=2.5)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, rng.uniform(0.3, 0.7), truncate=2.5)
    hu = hu + noise * np.float32(rng.uniform(4, 26) / noise.std())
    if rng.random() < 0.4:
        _add_table(hu, spacing)
    hu = np.clip(np.rint(hu), -1024, 3071).astype(np.int16)
    if rng.random() < 0.15:  # nothing is reconstructed outside a circle
        y, x = (np.arange(n) - (n - 1) / 2 for n in hu.shape[1:])
        hu[:, np.hypot(*np.meshgrid(y / len(y) * 2, x / len(x) * 2, indexing="ij")) > 1.0] = -2048
    return hu


def low_dose(hu: np.ndarray, spacing, rng: np.random.Generator) -> np.ndarray:
    """Few photons and a sharp kernel: edges overshoot, the noise is uncorrelated and several times the usual one,
    and where the body is widest it runs in streaks from side to side; int16 HU.

    Args:
        hu: (Z, Y, X) without noise; spacing (z, y, x) mm.
    """
    hu = hu + np.float32(rng.uniform(0.6, 1.2)) * (hu - ndimage.gaussian_filter(hu, 0.8, truncate=2.5))
    streaks = ndimage.gaussian_filter(rng.standard_normal(hu.shape, dtype=np.float32), (0.3, 0.4, 8.0), truncate=2.5)
    width = np.clip(hu / 1000 + 1, 0, None).sum(2, keepdims=True) * (spacing[2] / BODY_MM)
    hu = hu + streaks * (np.float32(rng.uniform(50, 90) / streaks.std()) * width**2)
    hu = hu + rng.standard_normal(hu.shape, dtype=np.float32) * np.float32(rng.uniform(90, 140))
    return np.clip(np.rint(hu), -1024, 3071).astype(np.int16)


SCANNERS: dict[str, Callable[[np.ndarray, tuple, np.random.Generator], np.ndarray]] = {
    "usual": usual, "low_dose": low_dose}


def _add_table(hu: np.ndarray, spacing) -> None:
    """A thin curved shell behind the back, in place."""
    body_rows = np.flatnonzero((hu > -300).any((0, 2)))
    if len(body_rows) == 0:
        return
    x = (np.arange(hu.shape[2]) - hu.shape[2] / 2) * spacing[2]
    rows = body_rows[-1] + 2 + np.clip(8 - (x / 60) ** 2, 0, None) / spacing[1] / 4
    for column, row in enumerate(rows.astype(int)):
        if row < hu.shape[1] and abs(x[column]) < 200:
            hu[:, row, column] = np.maximum(hu[:, row, column], -120)
