"""Lungs with five lobes, airways, heart, great vessels and oesophagus."""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import label_named
from uvlm_core.phantom.body import SPINE_CENTRE, BodyWall
from uvlm_core.phantom.frame import Frame
from uvlm_core.phantom.person import Person
from uvlm_core.phantom.shapes import axes_along, ellipsoid, ellipsoid_box, smooth_min, tube

AORTA = [(12, -96, 52, 15), (-4, -108, 72, 16), (-13, -110, 96, 15), (-5, -100, 114, 14), (6, -80, 121, 13.5),
         (17, -58, 118, 13), (23, -38, 106, 12.5), (25, -28, 88, 12), (24, -26, 60, 12), (20, -31, 25, 11.5),
         (14, -42, -10, 11), (8, -56, -45, 10.5), (6, -70, -80, 10), (5, -83, -115, 9.5), (4, -92, -150, 9),
         (3, -94, -178, 8.5)]
ESOPHAGUS = [(-2, -92, 215, 7), (0, -78, 182, 7.5), (3, -62, 155, 7.5), (4, -47, 125, 7.5), (1, -36, 98, 7.5),
             (4, -32, 70, 8), (5, -35, 42, 8), (9, -45, 15, 8.5), (16, -58, -6, 8.5), (27, -74, -22, 9)]
TRACHEA = [(-1, -103, 215, 8.5), (0, -90, 180, 8.5), (-1, -76, 150, 8.5), (-2, -64, 120, 8.5),
           (-2, -55, 98, 8.5), (-2, -51, 86, 8.5)]
RIGHT_BRONCHUS = [(-2, -52, 90, 7), (-16, -50, 78, 7), (-32, -48, 66, 6.5), (-40, -46, 54, 4.5)]
LEFT_BRONCHUS = [(-2, -52, 90, 6.5), (16, -49, 77, 6), (33, -45, 68, 5.8), (45, -42, 58, 4.5)]
DOMES = {-1: ((-64, -88), 30.0), 1: ((66, -80), 13.0)}  # side: centre (x, y) and height of the diaphragm


class Diaphragm:
    """`distance` (mm, full grid): positive above the diaphragm, negative below."""

    def __init__(self, frame: Frame, rng: np.random.Generator):
        lift = rng.normal(0, 8)
        self.height = {side: DOMES[side][1] + lift + rng.normal(0, 4) for side in (-1, 1)}
        x, y = frame.xc, frame.yc
        bumps = 2.5 * frame.random_coarse(rng, 45.0)
        domes = []
        for side in (-1, 1):
            (cx, cy), _ = DOMES[side]
            lateral, medial = np.clip((x - cx) * side, 0, None), np.clip((cx - x) * side, 0, None)
            back, front = np.clip(y - cy, 0, None), np.clip(cy - y, 0, None)
            # flat top, steep towards the costophrenic recess
            across = (lateral / 66) ** 2.4 * 72 + (medial / 66) ** 2 * 34
            domes.append(self.height[side] - (across + (back / 110) ** 2.1 * 92 + (front / 78) ** 2.2 * 44))
        top = np.maximum(*domes) + bumps
        self.distance = frame.refine(((frame.zc - top) * np.float32(0.75)).astype(np.float32))


def _mediastinum(frame: Frame, rng: np.random.Generator) -> np.ndarray:
    """Distance to the middle compartment between the lungs, full grid."""
    x, y, z = frame.xc, frame.yc, frame.zc
    levels = [-80, 0, 40, 62, 85, 110, 140, 165, 190, 230]
    front = np.interp(z, levels, [60, 45, 26, 13, 7, 8, 14, 26, 40, 90])
    middle = np.interp(z, levels, [50, 34, 32, 34, 33, 29, 26, 27, 32, 90])
    back = np.interp(z, levels, [34, 24, 21, 20, 20, 19, 18, 21, 30, 90])
    share = np.clip((y + 150) / 60, 0, 1)
    spine = np.interp(z, SPINE_CENTRE[:, 0], SPINE_CENTRE[:, 1])
    behind = np.clip((y - (spine - 35)) / 25, 0, 1)
    half = (front * (1 - share) + middle * share) * (1 - behind) + back * behind
    shift = np.interp(z, [0, 60, 120], [3, 4, 0])
    return frame.refine((np.abs(x - shift) - half + 1.5 * frame.random_coarse(rng, 40.0)).astype(np.float32))


def paint_lungs(frame: Frame, wall: BodyWall, diaphragm: Diaphragm, person: Person, rng, texture) -> np.ndarray:
    """Both lungs with lobes; returns the share of each voxel that is lung."""
    everything = (slice(None),) * 3
    middle = _mediastinum(frame, rng)
    lung = frame.occupancy(wall.cavity + np.float32(2.0))
    lung *= frame.occupancy(-diaphragm.distance)
    lung *= frame.occupancy(-middle)
    # soft mediastinum between the lungs: fat with some tissue strands
    content = frame.occupancy(middle) * frame.occupancy(wall.cavity + np.float32(2.0))
    content *= frame.z > 20
    frame.blend(everything, content, person.hu["fat"] + 25 + np.float32(22) * texture)
    depth = np.float32(rng.uniform(0.1, 0.55))  # HU per mm towards the back
    value = person.hu["lung"] + depth * (frame.y + 60) - np.float32(0.12) * (frame.z - 40) + np.float32(9) * texture
    frame.blend(everything, lung, value)
    _paint_lobes(frame, lung, rng)
    return lung


def _paint_lobes(frame: Frame, lung: np.ndarray, rng) -> None:
    y, z = frame.yc, frame.zc
    bend = 4.0 * frame.random_coarse(rng, 60.0)
    left = z - (122 + 1.12 * y + rng.normal(0, 6)) + bend - 0.0022 * (y + 60) ** 2
    right = z - (110 + 0.95 * y + rng.normal(0, 6)) + bend - 0.0022 * (y + 60) ** 2
    horizontal = z - (57 + rng.normal(0, 5) + 0.08 * (y + 100)) + bend
    left, right, horizontal = (frame.refine(d.astype(np.float32)) for d in (left, right, horizontal))
    names = {name: label_named(name).id for name in ("lung_upper_lobe_left", "lung_lower_lobe_left",
             "lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")}
    on_left = frame.x > 2
    on_right = np.where(horizontal > 0, names["lung_upper_lobe_right"], names["lung_middle_lobe_right"])
    lobes = np.where(on_left, np.where(left > 0, names["lung_upper_lobe_left"], names["lung_lower_lobe_left"]),
                     np.where(right < 0, names["lung_lower_lobe_right"], on_right))
    inside = lung > 0.5
    frame.labels[inside] = lobes[inside].astype(np.uint8)
    # fissures: thin lines of slightly higher density
    near = np.where(on_left, np.abs(left), np.minimum(np.abs(right), np.where(right > 0, np.abs(horizontal), 9)))
    frame.hu += lung * np.clip(1 - near / frame.voxel, 0, 1) * np.float32(130 / frame.voxel)


def paint_lung_vessels(frame: Frame, lung: np.ndarray, person: Person, rng: np.random.Generator) -> None:
    """Two branching trees per lung, drawn as points that each carry a little volume (partial volume for free)."""
    starts = {-1: (-38, -55, 66), 1: (42, -50, 72)}
    points, radii = [], []
    for side, start in starts.items():
        for _ in range(2):
            jitter = rng.normal(0, 6, 3)
            p, r = _grow(np.asarray(start) + jitter, side, rng)
            points.append(p)
            radii.append(r)
    points, radii = np.concatenate(points), np.concatenate(radii)
    step = 2.2
    offset = rng.normal(0, 0.45, points.shape) * radii[:, None]
    index = frame.to_index(points + offset)
    weight = np.pi * radii**2 * step / np.prod(frame.spacing)
    share = _splat(index, weight, frame.shape)
    np.clip(share * rng.uniform(0.8, 1.15), 0, 1, out=share)
    share *= lung
    value = 0.5 * (person.hu["blood"] + person.hu["right_blood"])
    frame.hu += share * (np.float32(value) - frame.hu)


def _grow(start: np.ndarray, side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 3) and radii (N,) along a random binary tree from the hilum into one lung."""
    goals = np.array([(60, -70, 150), (85, -90, 95), (75, -130, 60), (85, -60, 45), (75, -20, 60), (70, -90, 10),
                      (75, 0, -15), (85, -30, -10), (55, -15, 110), (60, -120, 105)], float)
    goals = goals * [side, 1, 1] + rng.normal(0, 10, goals.shape)
    position = np.repeat(start[None], len(goals), 0)
    direction = goals - position
    length = np.linalg.norm(direction, axis=1, keepdims=True)
    direction, length = direction / length, length[:, 0] * 0.42
    radius = np.full(len(goals), rng.uniform(3.4, 4.4))
    points, radii = [], []
    for _ in range(6):
        steps = np.arange(0, 1, 2.2 / max(length.mean(), 4.0))
        path = position[:, None] + direction[:, None] * (steps[None, :, None] * length[:, None, None])
        points.append(path.reshape(-1, 3))
        radii.append(np.repeat(radius, len(steps)))
        position = position + direction * length[:, None]
        position = np.concatenate([position, position])
        sway = rng.normal(0, 0.48, direction.shape)
        direction = np.concatenate([direction + sway, direction - sway])
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        length = np.concatenate([length, length]) * rng.uniform(0.62, 0.86, len(position))
        radius = np.concatenate([radius, radius]) * rng.uniform(0.66, 0.82, len(position))
    return np.concatenate(points), np.concatenate(radii)


def _splat(index: np.ndarray, weight: np.ndarray, shape) -> np.ndarray:
    """Sum of weights on the grid, spread linearly over the eight neighbours of each point."""
    keep = np.all((index >= 0) & (index < np.asarray(shape) - 1.001), axis=1)
    index, weight = index[keep], weight[keep]
    base = np.floor(index).astype(np.int64)
    part = index - base
    flat = (base[:, 0] * shape[1] + base[:, 1]) * shape[2] + base[:, 2]
    out = np.zeros(int(np.prod(shape)))
    for dz in (0, 1):
        for dy in (0, 1):
            for dx in (0, 1):
                w = weight * np.abs(1 - dz - part[:, 0]) * np.abs(1 - dy - part[:, 1]) * np.abs(1 - dx - part[:, 2])
                out += np.bincount(flat + (dz * shape[1] + dy) * shape[2] + dx, w, len(out))
    return out.reshape(shape).astype(np.float32)


def paint_airways(frame: Frame, person: Person) -> None:
    """Trachea and main bronchi with their walls."""
    found = [tube(frame, path) for path in (TRACHEA, RIGHT_BRONCHUS, LEFT_BRONCHUS)]
    for item in found:
        if item:
            frame.paint(item[0], item[1] - 1.8, person.hu["muscle"], 0)
    for item in found:
        if item:
            frame.paint(item[0], item[1], person.hu["gas"], label_named("trachea").id)


def heart_distance(frame: Frame, box, s: float):
    """Distance to the heart's surface for the size factor `s`."""
    at = frame.at(box)

    def lump(centre, semi, direction=None):
        # the heart grows to the left and to the front, its right and back borders less so
        c = np.array([10, -82, 45]) + (np.asarray(centre) - [10, -82, 45]) * s
        return ellipsoid(*at, c, np.asarray(semi) * s, None if direction is None else axes_along(direction))

    ventricles = lump((38, -102, 27), (55, 42, 40), (0.74, -0.42, -0.52))
    atria = lump((2, -70, 48), (41, 30, 40))
    outflow = lump((10, -112, 66), (29, 25, 30))
    right = lump((-14, -98, 32), (27, 32, 36))
    return smooth_min(smooth_min(ventricles, atria, 12), smooth_min(outflow, right, 12), 12)


def paint_heart(frame: Frame, wall: BodyWall, person: Person, rng: np.random.Generator, texture) -> None:
    """Pericardial fat, myocardium and blood pools."""
    hu, s = person.hu, person.heart_scale
    reach = 115 * max(s, 1)
    box = frame.box((-80 * s, -82 - 100 * s, 45 - reach), (20 + 105 * s, -82 + 75 * s, 45 + 80 * s))
    if box is None:
        return
    limit = np.maximum(wall.cavity[box] + 5, -50)
    surface = heart_distance(frame, box, s) + np.float32(1.6) * texture[box]
    spine = np.interp(frame.z[box], SPINE_CENTRE[:, 0], SPINE_CENTRE[:, 1]).astype(np.float32)
    surface = np.maximum(np.maximum(surface, limit), frame.y[box] - spine + 24)
    pad = ellipsoid(*frame.at(box), (70 * s + 5, -138, -4), (22, 22, 24 + person.fat_mm * 0.5))
    fat = np.maximum(np.minimum(surface - rng.uniform(2.0, 4.5), np.maximum(pad, surface - 25)), limit - 1)
    frame.paint(box, fat, hu["fat"] + 8, 0)
    frame.paint(box, surface, hu["myocardium"], label_named("heart").id)
    at = frame.at(box)
    centre = np.array([10, -82, 45])

    def pool(middle, semi, value, direction=None):
        c = centre + (np.asarray(middle) - centre) * s
        d = ellipsoid(*at, c, np.asarray(semi) * s, None if direction is None else axes_along(direction))
        frame.paint(box, np.maximum(d, surface + 3.5), value)

    axis = (0.74, -0.42, -0.52)
    pool((46, -94, 24), (40, 23, 23), hu["blood"], axis)  # left ventricle
    pool((20, -126, 28), (42, 17, 24), hu["right_blood"], axis)  # right ventricle
    pool((8, -62, 56), (33, 22, 25), hu["blood"])  # left atrium
    pool((-22, -92, 38), (19, 26, 30), hu["right_blood"])  # right atrium
    pool((6, -104, 66), (14, 14, 24), hu["blood"])  # root of the aorta
    pool((24, -124, 66), (14, 14, 22), hu["right_blood"])  # outflow of the right ventricle


def paint_vessels(frame: Frame, person: Person, rng: np.random.Generator) -> None:
    """Great vessels of chest and abdomen; only the aorta has a label."""
    hu = person.hu
    grow = person.heart_scale - 0.92
    veins = [
        ([(-24, -84, 36, 10), (-27, -90, 70, 9), (-26, -94, 105, 8.5), (-22, -98, 128, 8)], hu["right_blood"]),
        ([(-22, -98, 126, 7), (-28, -95, 150, 7), (-45, -85, 172, 6.5)], hu["right_blood"]),
        ([(-20, -100, 124, 6.5), (5, -108, 136, 6.5), (24, -98, 155, 6.5), (48, -85, 175, 6)], hu["right_blood"]),
        ([(-20, -80, 30, 12), (-18, -76, 0, 12), (-18, -74, -35, 12), (-18, -80, -80, 11), (-17, -90, -120, 10.5),
          (-16, -98, -160, 10), (-14, -100, -180, 9.5)], hu["vein"]),
        ([(26, -120, 70, 14), (22, -104, 86, 13), (14, -88, 90, 12), (-10, -72, 82, 10.5), (-36, -64, 74, 9.5),
          (-50, -58, 66, 7)], hu["right_blood"]),
        ([(22, -100, 86, 12), (30, -76, 90, 10.5), (42, -56, 84, 9), (50, -44, 68, 7)], hu["right_blood"]),
        ([(18, -60, 54, 8), (38, -56, 52, 7), (52, -52, 46, 5)], hu["blood"]),
        ([(-12, -62, 52, 8), (-34, -60, 50, 7), (-48, -58, 44, 5)], hu["blood"]),
    ]
    arteries = [
        [(-4, -100, 116, 7), (-10, -98, 138, 6.5), (-20, -92, 160, 6), (-60, -80, 178, 5)],
        [(6, -88, 120, 5), (8, -92, 150, 4.5), (8, -98, 195, 4)],
        [(16, -68, 118, 6), (20, -72, 145, 5.5), (32, -76, 170, 5.5), (75, -75, 182, 5)],
        [(4, -86, -120, 3.5), (-35, -66, -112, 3.2)], [(6, -86, -118, 3.5), (55, -60, -108, 3.2)],
        [(5, -90, -66, 4), (5, -104, -72, 4), (0, -112, -110, 3.5)],
        [(3, -94, -176, 7), (24, -92, -215, 6), (52, -95, -255, 5.5)],
        [(2, -94, -176, 7), (-22, -92, -215, 6), (-52, -95, -255, 5.5)],
    ]
    for path, value in veins:
        _draw(frame, path, value, 0)
    for path in arteries:
        _draw(frame, path, hu["blood"], 0)
    wide = rng.uniform(0.85, 1.2) * (0.92 + 0.16 * person.age)
    path = [(x + (8 * grow if z < 100 and y < -90 else 0), y, z, r * wide) for x, y, z, r in AORTA]
    tortuous = 6 * person.age * rng.normal()
    path = [(x + tortuous * np.sin(z / 30) * (y > -60), y, z, r) for x, y, z, r in path]
    found = tube(frame, path)
    if found:
        box, distance = found
        frame.paint(box, distance - 1.5, hu["fat"] + 20, 0)
        frame.paint(box, distance, hu["blood"], label_named("aorta").id)


def _draw(frame: Frame, path, value: float, label: int | None) -> None:
    found = tube(frame, path)
    if found:
        frame.paint(*found, value, label)


def paint_esophagus(frame: Frame, person: Person, rng: np.random.Generator) -> None:
    """Muscular tube with a little gas now and then; it does not overwrite the heart and the aorta."""
    found = tube(frame, ESOPHAGUS)
    if not found:
        return
    box, distance = found
    free = ~np.isin(frame.labels[box], [label_named(n).id for n in ("aorta", "spine", "trachea")])
    distance = np.where(free, distance, 20)
    frame.paint(box, distance - 1.0, person.hu["fat"] + 15, 0)
    frame.paint(box, distance, person.hu["esophagus"], label_named("esophagus").id)
    if rng.random() < 0.5:
        low = rng.uniform(20, 130)
        air = np.where(np.abs(frame.z[box] - low) < rng.uniform(10, 30), distance + 5.2, 20)
        frame.paint(box, air, -600.0)


def paint_fat_pads(frame: Frame, person: Person, rng: np.random.Generator) -> None:
    """Small normal nodes (< 8 mm) in the mediastinum, and sometimes a tiny calcified granuloma: never labelled."""
    for _ in range(rng.integers(2, 7)):
        centre = (rng.normal(0, 18), rng.uniform(-100, -45), rng.uniform(60, 135))
        box = ellipsoid_box(frame, centre, (4, 4, 4))
        if box is not None:
            d = ellipsoid(*frame.at(box), centre, rng.uniform(2, 4, 3))
            d = np.where(frame.labels[box] == 0, d, 10)
            frame.paint(box, d, person.hu["node"])
