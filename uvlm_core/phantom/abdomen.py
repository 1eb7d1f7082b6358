"""Liver, gallbladder, spleen, stomach, kidneys, pancreas and bowel."""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import label_named
from uvlm_core.phantom.body import BodyWall
from uvlm_core.phantom.frame import Box, Frame
from uvlm_core.phantom.person import Person
from uvlm_core.phantom.shapes import axes_along, ellipsoid, ellipsoid_box, smooth_min, tube
from uvlm_core.phantom.thorax import Diaphragm

Surface = tuple[Box, np.ndarray]  # a box of the frame, and in it the signed distance in mm to an organ with its fat


def paint_abdomen(frame: Frame, wall: BodyWall, diaphragm: Diaphragm, person: Person, rng, texture, fine) -> None:
    """All organs below the diaphragm, from back to front."""
    under = np.maximum(wall.cavity + np.float32(2.5), diaphragm.distance + np.float32(2.0))
    kept = paint_kidneys(frame, under, person, rng, texture)
    paint_bowel(frame, under, person, rng, texture, fine)
    kept += paint_pancreas(frame, person, rng, fine)
    paint_stomach(frame, under, kept, person, rng, texture, fine)
    paint_spleen(frame, under, kept, person, rng, texture)
    paint_liver(frame, under, kept, person, rng, texture)
    paint_gallbladder(frame, person, rng)
    _paint_diaphragm(frame, wall, diaphragm, person)


def _paint_diaphragm(frame: Frame, wall: BodyWall, diaphragm: Diaphragm, person: Person) -> None:
    """Thin muscle sheet between lung and abdomen."""
    sheet = np.maximum(np.abs(diaphragm.distance + np.float32(0.9)) - np.float32(1.3), wall.cavity + np.float32(2))
    occupancy = frame.occupancy(sheet)
    occupancy *= frame.labels == 0
    frame.blend((slice(None),) * 3, occupancy, person.hu["muscle"])


def paint_liver(frame: Frame, under: np.ndarray, kept: list[Surface], person: Person, rng, texture) -> None:
    """Right dome under the right diaphragm, left lobe across the midline, with vessels and a kidney's impression."""
    box = frame.box((-140, -215, -165), (120, 50, 60))
    if box is None:
        return
    x, y, z = frame.at(box)
    long, reach = rng.normal(0, 10), rng.normal(0, 14)
    floor = np.interp(x, [-130, -105, -70, -40, 0, 40, 80, 110],
                      [-128, -122, -104, -86, -66, -48, -28, -5]).astype(np.float32)
    floor += np.float32(long) - np.clip(y + 75, 0, 80) * 0.10 - np.clip(-130 - y, 0, 60) * 0.30
    back = np.interp(x, [-130, -70, -48, -28, -10, 10, 35, 70, 110],
                     [60, 20, -30, -58, -76, -90, -96, -108, -125]).astype(np.float32)
    edge = x - (72 + reach) - 0.25 * (z + 20)
    bumps = np.float32(2.5) * texture[box]
    distance = np.maximum(np.maximum(under[box] + 0.5, (floor - z) * 0.85 + bumps),
                          np.maximum((y - back) * 0.8 + bumps, edge * 0.7))
    distance = -smooth_min(-distance, -((floor - z) * 0.8 + (y - back) * 0.3), 20)
    _keep_off(distance, box, kept)
    hu = person.hu
    label = label_named("liver").id
    occupancy = frame.occupancy(distance)
    occupancy *= ~np.isin(frame.labels[box], [label_named(n).id for n in ("heart", "aorta", "spine", "esophagus")])
    frame.blend(box, occupancy, hu["liver"] + np.float32(2) * texture[box], label)
    tint = {"native": -12, "arterial": rng.uniform(-12, 10), "portal": rng.uniform(25, 60)}[person.phase]
    _liver_vessels(frame, box, distance, hu["liver"] + tint, rng)
    _paint_cava(frame, person)


def _liver_vessels(frame: Frame, box, distance, value: float, rng) -> None:
    root = (-22, -88, -62)
    portal = [[root, (-45, -92, -45), (-80, -75, -35), (-100, -60, -50)], [root, (-50, -95, -40), (-85, -110, -15)],
              [root, (-20, -112, -38), (20, -130, -22), (45, -135, -15)]]
    hepatic = [[(-20, -78, 2), (-55, -70, -10), (-95, -60, -40)], [(-20, -80, 2), (-45, -105, -15), (-60, -125, -40)],
               [(-18, -82, 2), (5, -110, -5), (35, -130, -10)]]
    for path in portal + hepatic:
        radii = np.linspace(rng.uniform(4.5, 6), 2.2, len(path))
        found = tube(frame, [(*(np.asarray(p) + rng.normal(0, 4, 3)), r) for p, r in zip(path, radii, strict=True)])
        if found:
            part, d = found
            d = np.where(frame.labels[part] == label_named("liver").id, d, 20)
            frame.paint(part, d, value)


def _paint_cava(frame: Frame, person: Person) -> None:
    found = tube(frame, [(-20, -80, 22, 11.5), (-19, -78, 0, 12), (-19, -78, -35, 12), (-18, -82, -75, 11)])
    if found:
        box, distance = found
        heart = frame.labels[box] == label_named("heart").id
        frame.paint(box, np.where(heart, 20, distance), person.hu["vein"], 0)


def paint_gallbladder(frame: Frame, person: Person, rng) -> None:
    """Fluid, no label."""
    if rng.random() < 0.15:
        return
    size = rng.uniform(0.7, 1.25)
    centre = np.array([-52, -128, -92]) + rng.normal(0, 6, 3)
    semi, axes = np.array([28, 14, 14]) * size, axes_along((-0.25, -0.55, -0.8))
    box = ellipsoid_box(frame, centre, semi)
    if box is not None:
        d = ellipsoid(*frame.at(box), centre, semi, axes)
        frame.paint(box, d, person.hu["muscle"], 0)
        frame.paint(box, d + 2, rng.uniform(3, 18), 0)


def paint_spleen(frame: Frame, under: np.ndarray, kept: list[Surface], person: Person, rng, texture) -> None:
    """Crescent under the left ribs."""
    size = rng.uniform(0.85, 1.3)
    centre = np.array([102, -30, -36]) + rng.normal(0, 4, 3)
    semi = np.array([50, 36, 27]) * size
    axes = np.stack([axes_along((0.0, -0.35, 0.94))[0], *_tail((0.0, -0.35, 0.94), (0.45, 0.85, 0.3))])
    box = ellipsoid_box(frame, centre, semi)
    if box is None:
        return
    d = ellipsoid(*frame.at(box), centre, semi, axes)
    hollow = ellipsoid(*frame.at(box), centre + np.array([-44, -32, -8]) * size, (38, 46, 60))
    d = np.maximum(np.maximum(d, -hollow), under[box] + 1) + np.float32(1.8) * texture[box]
    _keep_off(d, box, kept)
    mottle = 18 if person.phase == "arterial" else 2
    frame.paint(box, d, person.hu["spleen"] + np.float32(mottle) * texture[box], label_named("spleen").id)


def _tail(first, second) -> np.ndarray:
    """Second and third orthonormal axis for a given first one."""
    a = np.asarray(first, float) / np.linalg.norm(first)
    b = np.asarray(second, float) - a * np.dot(second, a)
    b /= np.linalg.norm(b)
    return np.stack([b, np.cross(a, b)])


def paint_stomach(frame: Frame, under: np.ndarray, kept: list[Surface], person: Person, rng, texture, fine) -> None:
    """J-shaped, with gas in front and fluid or food behind."""
    fill = rng.uniform(0.7, 1.15)
    drop = rng.normal(0, 10)
    path = [(62, -62, -8, 24 * fill), (62, -78, -28, 30 * fill), (60, -108, -55 + drop / 2, 27 * fill),
            (40, -134, -80 + drop, 22 * fill), (10, -138, -92 + drop, 17 * fill), (-18, -126, -86 + drop / 2, 12),
            (-30, -112, -84, 9)]
    found = tube(frame, path)
    if not found:
        return
    box, distance = found
    distance = np.maximum(distance + np.float32(1.6) * texture[box], under[box] + 1)
    free = ~np.isin(frame.labels[box], [label_named(n).id for n in ("aorta", "spine", "heart")])
    distance = np.where(free, distance, 20)
    _keep_off(distance, box, kept)
    hu = person.hu
    frame.paint(box, distance - 2, hu["fat"], None)
    frame.paint(box, distance, hu["stomach_wall"], label_named("stomach").id)
    inner = distance + rng.uniform(3, 5)
    food = rng.uniform(5, 45) if not person.contrast_meal else rng.uniform(120, 350)
    frame.paint(box, inner, food + np.float32(rng.choice([3, 25])) * fine[box])
    level = rng.uniform(-140, -95)
    gas = np.maximum(inner, frame.y[box] - np.float32(level))
    frame.paint(box, gas, hu["gas"])


def paint_kidneys(frame: Frame, under: np.ndarray, person: Person, rng, texture) -> list[Surface]:
    """Cortex, medulla, sinus fat and pelvis; upper poles nearer to the spine. Returns them with their fat."""
    base = rng.normal(0, 8)
    surfaces = []
    for side, name, centre in ((1, "kidney_left", (72, -38, -96)), (-1, "kidney_right", (-70, -42, -108))):
        centre = np.add(centre, [rng.normal(0, 4), rng.normal(0, 4), base + rng.normal(0, 6)])
        size = rng.uniform(0.9, 1.12)
        semi = np.array([55, 30, 25]) * size
        first = np.array([-side * 0.28, 0.18, 0.94])
        axes = np.stack([first / np.linalg.norm(first), *_tail(first, (side * 0.8, 0.6, 0.1))])
        box = ellipsoid_box(frame, centre, semi)
        if box is None:
            continue
        at = frame.at(box)
        d = ellipsoid(*at, centre, semi, axes) + np.float32(1.2) * texture[box]
        d = np.maximum(d, under[box] + 1)
        hilum = centre - axes[1] * 24 * size
        sinus = ellipsoid(*at, hilum, (22 * size, 17 * size, 12 * size), axes)
        frame.paint(box, d - 5, person.hu["fat"], None)
        frame.paint(box, d, person.hu["kidney"], label_named(name).id)
        inner = np.maximum(d + 8, -(sinus - 9)) if person.phase == "arterial" else d + 60
        frame.paint(box, inner, person.hu["medulla"])
        frame.paint(box, np.maximum(d + 8, sinus - 9), person.hu["medulla"])
        frame.paint(box, sinus, person.hu["fat"] + 25, 0)
        pelvis = ellipsoid(*at, hilum - axes[1] * 4, (10, 8, 6), axes)
        frame.paint(box, pelvis, 8.0, 0)
        surfaces.append((box, d - np.float32(0.5 + 0.15 * person.fat_mm)))
    return surfaces


def _keep_off(distance: np.ndarray, box: Box, kept: list[Surface]) -> None:
    """Dents a soft organ, in place, where it would reach into an organ behind it or the fat around that."""
    for other, depth in kept:
        common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(box, other, strict=True)]
        if all(side.start < side.stop for side in common):
            here, there = (tuple(slice(side.start - own.start, side.stop - own.start)
                                 for side, own in zip(common, whole, strict=True)) for whole in (box, other))
            np.maximum(distance[here], -depth[there], out=distance[here])


def paint_pancreas(frame: Frame, person: Person, rng, fine) -> list[Surface]:
    """Head beside the duodenum, body before the spine, tail towards the spleen; lobulated. Returns it with its fat."""
    move = rng.normal(0, 4, 3)
    thick = rng.uniform(0.85, 1.15) * (1.05 - 0.25 * person.age)
    path = [(-26, -98, -122, 11), (-28, -102, -104, 15), (-14, -112, -90, 11), (6, -118, -82, 9.5), (28, -110, -76, 11),
            (55, -90, -66, 11), (78, -66, -54, 10), (88, -52, -48, 7)]
    found = tube(frame, [(x + move[0], y + move[1], z + move[2], r * thick) for x, y, z, r in path])
    splenic = tube(frame, [(-14, -98, -80, 5), (15, -100, -72, 4.5), (45, -84, -62, 4), (80, -50, -48, 4)])
    if splenic:
        frame.paint(*splenic, person.hu["vein"], 0)
    if not found:
        return []
    box, distance = found
    lobed = distance + np.float32(1.3 + 1.5 * person.age) * np.clip(fine[box], -1.5, 1.5)
    others = [label_named(n).id for n in ("aorta", "kidney_left", "kidney_right", "spine")]
    lobed = np.where(np.isin(frame.labels[box], others), np.float32(20), lobed)
    frame.paint(box, lobed, person.hu["pancreas"], label_named("pancreas").id)
    return [(box, lobed - np.float32(1))]


def paint_bowel(frame: Frame, under: np.ndarray, person: Person, rng, texture, fine) -> None:
    """Duodenum, small bowel loops and a colon frame with gas and stool."""
    front = rng.normal(0, 5)
    duodenum = [(-32, -112, -86, 11), (-50, -98, -96, 12), (-52, -88, -120, 12), (-38, -84, -138, 12),
                (0, -104, -142, 10), (30, -92, -130, 11), (38, -105, -112, 11)]
    loops = [duodenum] + [_loop(rng) for _ in range(9)]
    for path in loops:
        filling = rng.choice(["collapsed", "fluid", "gas", "contrast"], p=[0.4, 0.35, 0.15, 0.1])
        _paint_gut(frame, under, person, path, str(filling), rng, texture, fine)
    colon = [[(88, -70, -230, 17), (98, -58, -190, 17), (104, -52, -140, 17), (106, -62, -95, 18), (100, -82, -70, 19)],
             [(-92, -80, -225, 26), (-96, -72, -190, 25), (-96, -74, -155, 22), (-88, -92, -132, 21)],
             [(-88, -95, -130, 20), (-60, -142, -130, 19), (-20, -156 + front, -142, 18),
              (30, -156 + front, -138, 18), (72, -140, -105, 18), (98, -92, -68, 18)],
             [(88, -72, -228, 16), (70, -95, -250, 16), (35, -80, -262, 16), (10, -60, -280, 16)]]
    for path in colon:
        _paint_gut(frame, under, person, path, str(rng.choice(["stool", "gas", "mixed"])), rng, texture, fine)


def _loop(rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
    """A wandering piece of small bowel in the middle abdomen."""
    point = np.array([rng.uniform(-65, 70), rng.uniform(-145, -100), rng.uniform(-250, -125)])
    path, radius = [], rng.uniform(9, 13)
    heading = rng.normal(0, 1, 3)
    for _ in range(7):
        path.append((*point, radius))
        heading = heading * 0.4 + rng.normal(0, 1, 3) * [1.0, 0.6, 0.8]
        point = point + heading / np.linalg.norm(heading) * 28
        point = np.clip(point, (-72, -150, -265), (78, -98, -118))
    return path


def _paint_gut(frame: Frame, under, person: Person, path, filling: str, rng, texture, fine) -> None:
    found = tube(frame, path, 2)
    if not found:
        return
    box, distance = found
    distance = distance + np.float32(2.2) * texture[box]
    distance = np.maximum(distance, under[box] + 2)
    blocked = np.isin(frame.labels[box], [label_named(n).id for n in ("spine", "aorta", "kidney_left", "kidney_right")])
    distance = np.where(blocked, 20, distance)
    hu = person.hu
    wall = 2.2 if filling != "collapsed" else 30
    frame.paint(box, distance - 1.5, hu["fat"], None)
    frame.paint(box, distance, hu["bowel_wall"], label_named("bowel").id)
    inner = distance + wall
    stool = np.where(fine[box] > 0.3, -350, 30).astype(np.float32)
    level = np.mean([p[1] for p in path]) + rng.uniform(-12, 8)
    in_front = np.maximum(inner, frame.y[box] - np.float32(level))
    if filling in ("fluid", "contrast"):
        frame.paint(box, inner, rng.uniform(5, 30) if filling == "fluid" else rng.uniform(150, 400))
    elif filling == "gas":
        frame.paint(box, inner, 15.0)
        frame.paint(box, in_front, hu["gas"])
    elif filling in ("stool", "mixed"):
        frame.paint(box, inner, stool)
        if filling == "mixed":
            frame.paint(box, in_front, hu["gas"])
