"""Findings of heart, vessels and mediastinum, and medical material."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy import ndimage

from uvlm_core.labels import label_named
from uvlm_core.phantom.scene import LUNGS, Scene, bounding_box

FREE = ("trachea", "heart", "aorta", "esophagus", "liver", "spleen", "stomach", "spine", "ribs")


def pericardial_effusion(scene: Scene) -> bool:
    """A shell of fluid around the heart, thicker below and behind."""
    rng = scene.rng
    heart = scene.mask("heart")
    if heart.sum() * np.prod(scene.spacing) < 1.2e5:
        return False
    box = _grown(bounding_box(heart), heart.shape, 8)
    distance = ndimage.distance_transform_edt(~heart[box], scene.spacing).astype(np.float32)
    height = np.linspace(0, 1, distance.shape[0], dtype=np.float32)[:, None, None]
    thick = rng.uniform(7, 16) * (1.15 - 0.9 * height) * (1 + 0.15 * scene.noise(box, 30.0))
    where = ~heart[box] & ~scene.mask(*FREE)[box] & (scene.hu[box] < 120)
    return scene.paint(box, scene.occupancy(distance - thick), rng.uniform(2, 25), "pericardial_effusion", where) > 0


def _grown(box, shape, by: int):
    return tuple(slice(max(0, side.start - by), min(n, side.stop + by)) for side, n in zip(box, shape, strict=True))


def arterial_calcification(scene: Scene) -> bool:
    """Plaques on the wall of the aorta."""
    rng, aorta, drawn = scene.rng, scene.mask("aorta"), False
    wall = aorta & ~ndimage.binary_erosion(aorta)
    if aorta.sum() * np.prod(scene.spacing) < 2e4:
        return False
    for _ in range(rng.integers(3, 10)):
        centre = scene.point_in(wall)
        box, occupancy = scene.blob(centre, rng.uniform(2.6, 6.0, 3), 0.2)
        drawn |= scene.paint(box, occupancy, rng.uniform(550, 1100), "arterial_calcification",
                             ndimage.binary_dilation(aorta[box])) > 0
    return drawn


def coronary_calcification(scene: Scene) -> bool:
    """Bright beads along the front and left upper surface of the heart, where the coronary arteries run."""
    rng, heart = scene.rng, scene.mask("heart")
    if heart.sum() * np.prod(scene.spacing) < 1.2e5:
        return False
    index = np.argwhere(heart)
    low, high = index.min(0), index.max(0)
    surface = heart & ~ndimage.binary_erosion(heart, iterations=2)
    z, y, _ = np.indices(heart.shape, sparse=True)
    surface &= (z > low[0] + 0.45 * (high[0] - low[0])) & (y < low[1] + 0.6 * (high[1] - low[1]))
    start = scene.point_in(surface)
    if start is None:
        return False
    near = np.argwhere(surface)
    near = near[np.linalg.norm((near - start) * scene.spacing, axis=1) < 40]
    drawn = False
    for centre in near[rng.choice(len(near), min(len(near), rng.integers(2, 6)), replace=False)]:
        box, occupancy = scene.blob(centre, rng.uniform(2.4, 4.2, 3), 0.15)
        drawn |= scene.paint(box, occupancy, rng.uniform(550, 1100), "coronary_calcification") > 0
    return drawn


def hiatal_hernia(scene: Scene) -> bool:
    """A pouch of stomach beside the lower oesophagus, with fluid and a bubble of gas."""
    rng, tube = scene.rng, scene.mask("esophagus")
    index = np.argwhere(tube)
    if len(index) < 30 or scene.volume_ml("stomach") < 15:
        return False
    top_of_stomach = np.flatnonzero(scene.mask("stomach").any((1, 2)))[-1]
    level = int(np.clip(max(index[:, 0].min(), top_of_stomach) + rng.uniform(5, 20) / scene.spacing[0],
                        index[:, 0].min(), index[:, 0].max()))
    centre = index[np.abs(index[:, 0] - level) <= 1].mean(0)
    radius = rng.uniform(14, 28)
    box, occupancy = scene.blob(centre, radius * rng.uniform(0.8, 1.2, 3), 0.1)
    z, y, x = scene.offsets(box, centre)
    where = ~scene.mask("heart", "aorta", "spine", "liver", "spleen", "trachea", "ribs")[box]
    gas = (y + 0 * (z + x) < -rng.uniform(0.1, 0.7) * radius) & (occupancy > 0.9)
    value = np.where(gas, -850.0, rng.uniform(5, 45) + 12 * scene.noise(box, 8.0)).astype(np.float32)
    return scene.paint(box, occupancy, value, "hiatal_hernia", where) > 0


def lymphadenopathy(scene: Scene) -> bool:
    """One to four nodes of 12 to 28 mm in the mediastinum."""
    rng, drawn = scene.rng, False
    core = scene.mask("trachea", "aorta")
    if not core.any() or scene.volume_ml(*LUNGS) < 400:
        return False
    lungs = np.flatnonzero(scene.mask(*LUNGS).any((1, 2)))
    coarse = ndimage.distance_transform_edt(~core[::2, ::2, ::2], [2 * step for step in scene.spacing]) < 26
    near = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(map(slice, core.shape))]
    free = near & (scene.labels == 0) & (scene.hu > -180) & (scene.hu < 130)
    base = lungs[0] + (lungs[-1] - lungs[0]) // 3
    free[:base] = False
    spine = np.argwhere(scene.mask("spine"))
    if len(spine):
        free[:, int(np.percentile(spine[:, 1], 20)) :] = False
    value = rng.uniform(0.85, 1.1) * float(np.clip(scene.median(45, "heart") * 0.3 + 30, 40, 95))
    for _ in range(rng.integers(1, 5)):
        centre = scene.point_in(free)
        if centre is None:
            return drawn
        box, occupancy = scene.blob(centre, rng.uniform(6, 12) * rng.uniform(0.85, 1.25, 3), 0.1)
        where = np.isin(scene.labels[box], [0, *(label_named(name).id for name in LUNGS)])
        drawn |= scene.paint(box, occupancy, value, "lymphadenopathy", where) > 20
    return drawn


def medical_material(scene: Scene) -> str | None:
    """A port catheter, pacemaker, sternal wires or nasogastric tube; returns which, None where none fits."""
    kinds = {"port catheter": _port, "pacemaker": _pacemaker, "sternal wires": _wires, "nasogastric tube": _gastric}
    for kind in scene.rng.permutation(list(kinds)):
        if kinds[kind](scene):
            return str(kind)
    return None


def _tube(scene: Scene, points, radius: float, value: float) -> int:
    """A metal-dense tube along voxel points."""
    written = 0
    for first, last in pairwise(points):
        length = np.linalg.norm((np.asarray(last) - first) * scene.spacing)
        for share in np.arange(0, 1, max(0.02, 1.5 / max(length, 1.5))):
            centre = np.asarray(first) + share * (np.asarray(last) - first)
            box = scene.around(centre, radius + 3)
            z, y, x = scene.offsets(box, centre)
            occupancy = scene.occupancy(np.sqrt(z**2 + y**2 + x**2) - radius)
            view = scene.hu[box]
            np.maximum(view, view + occupancy * (value - view), out=view)
            scene.labels[box][occupancy > 0.5] = label_named("medical_material").id
            written += int((occupancy > 0.5).sum())
    return written


def _skin_front(scene: Scene, z: int, x: int) -> int | None:
    """y of the front of the body in one column of voxels."""
    z, x = (int(np.clip(v, 0, n - 1)) for v, n in ((z, scene.hu.shape[0]), (x, scene.hu.shape[2])))
    body = np.flatnonzero(scene.hu[z, :, x] > -250)
    return int(body[0]) if len(body) else None


def _vein_path(scene: Scene, side: int, skin_depth_mm: float):
    """Voxel points from below the collarbone (side -1 right, 1 left) to the upper right of the heart, or None."""
    heart, airway = np.argwhere(scene.mask("heart")), np.argwhere(scene.mask("trachea"))
    if len(heart) * np.prod(scene.spacing) < 1e5 or len(airway) < 20:
        return None
    step = np.asarray(scene.spacing)
    low, high = heart.min(0), heart.max(0)
    goal = np.array([low[0] + 0.75 * (high[0] - low[0]), heart[:, 1].mean(), low[2] + 0.2 * (high[2] - low[2])])
    top = airway[:, 0].max() - 10 / step[0]
    trunk = np.array([(top + goal[0]) / 2, airway[:, 1].mean() - 15 / step[1], airway[:, 2].mean() - 22 / step[2]])
    entry = np.array([top, airway[:, 1].mean() - 20 / step[1], airway[:, 2].mean() + side * 45 / step[2]])
    pocket = np.add(entry, [-25 / step[0], 0, side * 35 / step[2]])
    front = _skin_front(scene, int(pocket[0]), int(pocket[2]))
    if front is None or top < goal[0]:
        return None
    pocket[1] = front + skin_depth_mm / step[1]
    return [pocket, entry, trunk, goal]


def _port(scene: Scene) -> bool:
    path = _vein_path(scene, -1 if scene.rng.random() < 0.75 else 1, 12)
    if path is None:
        return False
    box, occupancy = scene.blob(path[0], [8, 8, 6], 0.02)
    scene.paint(box, occupancy, 1800.0, "medical_material")
    return _tube(scene, path, 1.9, scene.rng.uniform(900, 1800)) > 0


def _pacemaker(scene: Scene) -> bool:
    path = _vein_path(scene, 1, 14)
    if path is None:
        return False
    box, occupancy = scene.blob(path[0], [20, 17, 6], 0.02)
    scene.paint(box, occupancy, 2800.0, "medical_material")
    heart = np.argwhere(scene.mask("heart"))
    tip = heart[scene.rng.choice(len(heart))] * 0.3 + heart.mean(0) * 0.7
    return _tube(scene, [*path, tip], 1.8, scene.rng.uniform(1500, 2600)) > 0


def _wires(scene: Scene) -> bool:
    """Dense loops on the sternum: the bone nearest to the front in the midline."""
    bone, heart = scene.mask("ribs"), np.argwhere(scene.mask("heart"))
    if len(heart) * np.prod(scene.spacing) < 1e5:
        return False
    middle = np.argwhere(scene.mask("spine"))
    if len(middle) < 20:
        return False
    column = int(middle[:, 2].mean())
    reach = max(1, int(12 / scene.spacing[2]))
    strip = np.argwhere(bone[:, : int(heart[:, 1].mean()), column - reach : column + reach])
    written = 0
    for level in np.unique(strip[:, 0])[:: max(1, int(22 / scene.spacing[0]))]:
        y = strip[strip[:, 0] == level][:, 1].min()
        written += _tube(scene, [(level, y, column - reach / 2), (level, y, column + reach / 2)], 1.9, 2500.0)
    return written > 10


def _gastric(scene: Scene) -> bool:
    """A tube along the middle of the oesophagus."""
    index = np.argwhere(scene.mask("esophagus"))
    levels = np.unique(index[:, 0])
    if len(levels) * scene.spacing[0] < 60:
        return False
    levels = levels[:: max(1, int(12 / scene.spacing[0]))]
    points = [index[np.abs(index[:, 0] - level) <= 1].mean(0) for level in levels]
    return _tube(scene, points, 1.9, scene.rng.uniform(900, 1800)) > 0
