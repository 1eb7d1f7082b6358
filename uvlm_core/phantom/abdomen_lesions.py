"""Focal lesions of liver, kidneys and pancreas."""

from __future__ import annotations

import numpy as np

from uvlm_core.phantom.scene import Scene


def liver_lesions(scene: Scene) -> bool:
    """One to four lesions of 9 to 50 mm, mostly darker than the liver."""
    rng, liver, drawn = scene.rng, scene.mask("liver"), False
    if liver.sum() * np.prod(scene.spacing) < 2e5:
        return False
    tissue = scene.median(60, "liver")
    darker = rng.random() < 0.8
    for _ in range(rng.choice([1, 2, 3, 4], p=[0.55, 0.2, 0.15, 0.1])):
        radius = float(np.exp(rng.uniform(np.log(4.6), np.log(25))))
        centre = scene.point_in(liver, 0.5 * radius)
        if centre is None:
            continue
        value = tissue - rng.uniform(28, 70) if darker else tissue + rng.uniform(35, 80)
        box, occupancy = scene.blob(centre, radius * rng.uniform(0.85, 1.15, 3), rng.uniform(0.05, 0.15))
        drawn |= scene.paint(box, occupancy, value, "liver_lesion", liver[box]) > 0
    return drawn


def kidney_lesions(scene: Scene) -> bool:
    """A cyst or a solid lesion of 10 to 45 mm, often bulging out of the kidney."""
    rng = scene.rng
    names = [name for name in ("kidney_left", "kidney_right") if scene.volume_ml(name) > 40]
    if not names:
        return False
    name = str(rng.choice(names))
    kidney = scene.mask(name)
    radius = float(np.exp(rng.uniform(np.log(5.0), np.log(22))))
    centre = scene.point_in(kidney, 2.0)
    if centre is None:
        return False
    tissue = scene.median(35, name)
    value = rng.uniform(-2, 14) if rng.random() < 0.6 else tissue - rng.uniform(25, 60)
    if tissue - value < 22:  # not to be told from the kidney without contrast: make it a dense cyst
        value = tissue + rng.uniform(28, 45)
    box, occupancy = scene.blob(centre, radius * rng.uniform(0.9, 1.1, 3), 0.06)
    where = kidney[box] | ((scene.labels[box] == 0) & (scene.hu[box] < 20))
    return scene.paint(box, occupancy, value, "kidney_lesion", where) > 0


def pancreas_lesions(scene: Scene) -> bool:
    """A darker lesion of 10 to 40 mm in the pancreas."""
    rng, pancreas = scene.rng, scene.mask("pancreas")
    if pancreas.sum() * np.prod(scene.spacing) < 1.5e4:
        return False
    centre = scene.point_in(pancreas)
    radius = float(np.exp(rng.uniform(np.log(5.5), np.log(19))))
    value = scene.median(45, "pancreas") - rng.uniform(28, 50)
    box, occupancy = scene.blob(centre, radius * rng.uniform(0.85, 1.15, 3), 0.1)
    where = pancreas[box] | ((scene.labels[box] == 0) & (scene.hu[box] < 60))
    return scene.paint(box, occupancy, value, "pancreas_lesion", where) > 0
