"""Findings of lungs and pleura, drawn into a scene that has lobes."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from uvlm_core.phantom.scene import LEFT_LUNG, LUNGS, RIGHT_LUNG, Scene, bounding_box


def _lobe(scene: Scene, names=LUNGS, least_ml: float = 60.0) -> str | None:
    """One lobe of enough volume, at random."""
    large = [name for name in names if scene.volume_ml(name) >= least_ml]
    return str(scene.rng.choice(large)) if large else None


def _tissue(scene: Scene) -> float:
    """HU of perfused soft tissue in this contrast phase."""
    return float(np.clip(scene.median(50.0, "heart") * 0.35 + 30, 30, 95))


def lung_nodules(scene: Scene) -> bool:
    """One to three solid nodules of 8 to 30 mm, some spiculated, some at the pleura."""
    rng, drawn = scene.rng, False
    for _ in range(rng.choice([1, 2, 3], p=[0.65, 0.2, 0.15])):
        radius = float(np.exp(rng.uniform(np.log(4.2), np.log(15))))
        lobe = _lobe(scene)
        centre = None if lobe is None else scene.point_in(scene.mask(lobe), rng.choice([0.5, 1.0]) * radius)
        if centre is None:
            continue
        box, occupancy = scene.blob(centre, radius * rng.uniform(0.8, 1.15, 3), rng.uniform(0.05, 0.25))
        value = rng.uniform(300, 700) if rng.random() < 0.07 else rng.uniform(10, _tissue(scene))
        drawn |= scene.paint(box, occupancy, value, "lung_nodule", scene.mask(*LUNGS)[box]) > 0
    return drawn


def consolidation(scene: Scene) -> bool:
    """A dense, uneven part of a lobe with air bronchograms."""
    rng = scene.rng
    lobe = _lobe(scene, least_ml=120)
    if lobe is None:
        return False
    inside = scene.mask(lobe)
    centre = scene.point_in(inside, 6.0)
    if centre is None:
        return False
    box, occupancy = scene.blob(centre, rng.uniform(18, 42) * rng.uniform(0.75, 1.25, 3), 0.3)
    ducts = np.abs(scene.noise(box, 14.0)) < rng.uniform(0.03, 0.09)
    value = np.where(ducts, -750.0, rng.uniform(15, 55) + 8 * scene.noise(box, 10.0)).astype(np.float32)
    return scene.paint(box, occupancy, value, "consolidation", inside[box]) > 0


def lung_opacity(scene: Scene) -> bool:
    """One to three ground-glass patches through which the vessels stay visible."""
    rng, drawn = scene.rng, False
    for _ in range(rng.integers(1, 4)):
        lobe = _lobe(scene, least_ml=120)
        if lobe is None:
            break
        inside = scene.mask(lobe)
        centre = scene.point_in(inside, 4.0)
        if centre is None:
            continue
        box, occupancy = scene.blob(centre, rng.uniform(14, 38) * rng.uniform(0.75, 1.25, 3), 0.3)
        veil = rng.uniform(-620, -430) + 35 * scene.noise(box, 8.0)
        value = np.maximum(scene.hu[box], veil).astype(np.float32)  # denser structures shine through
        drawn |= scene.paint(box, occupancy, value, "lung_opacity", inside[box]) > 0
    return drawn


def atelectasis(scene: Scene) -> bool:
    """A plate across a lower part of the lung, or a collapsed layer at its back."""
    rng = scene.rng
    lobe = _lobe(scene, ("lung_lower_lobe_left", "lung_lower_lobe_right", "lung_middle_lobe_right",
                         "lung_upper_lobe_left"), 120)
    if lobe is None:
        return False
    inside = scene.mask(lobe)
    value = rng.uniform(0.9, 1.15) * _tissue(scene)
    if "lower" in lobe and rng.random() < 0.45:
        depth = dependent_depth(scene, inside)
        box = bounding_box(inside)
        thick = rng.uniform(10, 22) * (1 + 0.15 * scene.noise(box, 25.0)) * _towards_base(box, rng.uniform(0.4, 0.8))
        return scene.paint(box, scene.occupancy(depth[box] - thick), value, "atelectasis", inside[box]) > 0
    centre = scene.point_in(inside, 5.0)
    if centre is None:
        return False
    box = scene.around(centre, 45)
    tilt = rng.normal(0, 0.35, 2)
    z, y, x = scene.offsets(box, centre)
    across = np.abs(z + tilt[0] * y + tilt[1] * x + 3 * scene.noise(box, 25.0)) - rng.uniform(3.5, 6.5)
    spread = np.sqrt(y**2 + x**2) - rng.uniform(20, 40)
    return scene.paint(box, scene.occupancy(np.maximum(across, spread)), value, "atelectasis", inside[box]) > 0


def emphysema(scene: Scene) -> bool:
    """Holes without lung tissue, mostly in the upper lobes."""
    rng = scene.rng
    names = ("lung_upper_lobe_left", "lung_upper_lobe_right")
    names = names if rng.random() < 0.6 else (str(rng.choice(names)),)
    if rng.random() < 0.25:
        names = LUNGS
    inside = scene.mask(*names)
    if inside.sum() * np.prod(scene.spacing) < 1.5e5:
        return False
    box = bounding_box(inside)
    holes = scene.noise(box, rng.uniform(12, 22)) - rng.uniform(0.25, 0.8)
    share = np.clip(holes * 3 + 0.5, 0, 1) * (scene.hu[box] < -650)
    return scene.paint(box, share, rng.uniform(-990, -955), "emphysema", inside[box]) > 0


def pleural_effusion(scene: Scene) -> bool:
    """Fluid at the back of one or both chest halves, thicker towards the base, with a meniscus."""
    rng, drawn = scene.rng, False
    both = rng.random() < 0.4
    sides = (LEFT_LUNG, RIGHT_LUNG) if both else ((LEFT_LUNG, RIGHT_LUNG)[int(rng.random() < 0.5)],)
    value = rng.uniform(0, 25)
    for names in sides:
        inside = scene.mask(*names)
        if inside.sum() * np.prod(scene.spacing) < 2.5e5:
            continue
        depth = dependent_depth(scene, inside)
        box = bounding_box(inside)
        thick = rng.uniform(14, 42) * _towards_base(box, rng.uniform(0.4, 0.8)) * (1 + 0.05 * scene.noise(box, 30.0))
        drawn |= scene.paint(box, scene.occupancy(depth[box] - thick), value, "pleural_effusion", inside[box]) > 0
    return drawn


def dependent_depth(scene: Scene, inside: np.ndarray) -> np.ndarray:
    """(Z, Y, X) mm in front of the hindmost voxel of `inside` in the same row of voxels; 1000 where there is none."""
    size = inside.shape[1]
    last = size - 1 - inside[:, ::-1].argmax(1)  # (Z, X)
    last = np.where(inside.any(1), last, -1000)
    smooth = ndimage.median_filter(last, 5)  # the ribs' imprints do not show on the surface of the fluid
    steps = smooth[:, None] - np.arange(size)[None, :, None]
    return np.where(smooth[:, None] < 0, 1000, steps * scene.spacing[1]).astype(np.float32)


def _towards_base(box, reach: float) -> np.ndarray:
    """(Z, 1, 1) factor that falls from 1.3 at the base to 0 at `reach` of the height."""
    height = np.linspace(0, 1, box[0].stop - box[0].start, dtype=np.float32)
    return np.clip(1.3 * (1 - height / reach), -0.2, 1.3)[:, None, None]
