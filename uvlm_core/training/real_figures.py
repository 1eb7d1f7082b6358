"""Dice of organs on the real scans of a recipe. These scans were trained on: the figures show a fit, not a test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from uvlm_core.labels import label_named
from uvlm_core.training.real_scan import load_real
from uvlm_core.training.recipe import Recipe
from uvlm_core.volumes.volume import Volume

ORGANS = {
    "left lung": ("lung_upper_lobe_left", "lung_lower_lobe_left"),
    "right lung": ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),
    "liver": ("liver",), "heart": ("heart",), "spleen": ("spleen",), "left kidney": ("kidney_left",),
    "right kidney": ("kidney_right",), "spine": ("spine",), "aorta": ("aorta",),
}


def real_figures(recipe: Recipe, root: Path, segment: Callable[[Volume], np.ndarray]) -> dict[str, dict[str, float]]:
    """scan -> organ -> Dice, for the organs that the scan's labels hold with at least 1 ml.

    Args:
        root: folder of the real scans.
        segment: volume -> (Z, Y, X) label map on its own grid.
    """
    figures = {}
    for source in recipe.data:
        if source["kind"] != "real":
            continue
        volume, truth, known = load_real(json.dumps(source, sort_keys=True), root)
        predicted = segment(volume)
        rows = {}
        for organ, names in ORGANS.items():
            if not set(names) <= set(known):
                continue
            ids = [label_named(name).id for name in names]
            actual, found = np.isin(truth, ids), np.isin(predicted, ids) & (truth != 255)
            if actual.sum() * volume.voxel_volume_ml >= 1:
                rows[organ] = round(float(2 * (actual & found).sum() / (actual.sum() + found.sum())), 3)
        figures[source["name"]] = rows
    return figures
