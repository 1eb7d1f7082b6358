"""Body wall and bones: skin, fat, muscles, ribs, sternum, shoulder girdle, spine.

The tables give half width, front and back (mm in the atlas) of the inner cavity and of the outer muscle surface at
several heights z; they were measured on CT of adults.
"""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import label_named
from uvlm_core.phantom.frame import Frame
from uvlm_core.phantom.person import Person
from uvlm_core.phantom.shapes import ellipsoid, ellipsoid_box, smooth_min, squircle, tube

CAVITY = np.array([  # z, half width, front, back
    (-430, 6, -62, -50), (-395, 22, -80, -30), (-365, 48, -98, 2), (-330, 72, -108, 12), (-290, 100, -112, 8),
    (-250, 112, -125, -8), (-220, 118, -138, -14), (-180, 118, -146, -18), (-140, 120, -152, -12),
    (-100, 123, -157, 2), (-60, 126, -160, 22), (-20, 128, -163, 29), (20, 127, -164, 30), (60, 122, -162, 27),
    (100, 111, -154, 18), (130, 97, -143, 7), (150, 82, -130, -3), (165, 66, -115, -12), (178, 46, -98, -22),
    (190, 20, -80, -36), (230, 10, -75, -40)], np.float32)
WALL = np.array([
    (-480, 158, -118, 34), (-420, 166, -122, 46), (-380, 172, -132, 56), (-330, 176, -146, 62), (-290, 170, -150, 61),
    (-250, 160, -150, 55), (-220, 148, -154, 42), (-180, 136, -158, 30), (-140, 134, -163, 25),
    (-100, 137, -167, 30), (-60, 139, -171, 38), (-20, 141, -175, 45), (20, 142, -177, 50), (60, 148, -176, 53),
    (90, 155, -171, 53), (120, 162, -163, 50), (150, 170, -150, 42), (170, 172, -138, 34), (185, 160, -128, 24),
    (197, 120, -118, 12), (210, 75, -112, 2), (240, 62, -112, -2)], np.float32)
SPINE_CENTRE = np.array([  # z, y of the centre of the vertebral body
    (-280, 20), (-255, -8), (-235, -40), (-204, -66), (-172, -72), (-140, -68), (-109, -57), (-79, -43), (-51, -31),
    (-25, -21), (0, -13), (23, -7), (46, -4), (69, -3), (91, -7), (111, -13), (130, -23), (147, -34), (163, -47),
    (178, -60), (191, -72), (215, -90)], np.float32)
VERTEBRAE = np.array([191, 178, 163, 147, 130, 111, 91, 69, 46, 23, 0, -25, -51, -79, -109, -140, -172, -204],
                     np.float32)
# first rib .. twelfth: height at the spine, drop to the front end, angle of the front end (0 back, pi front)
RIBS = np.array([(188, 40, 2.6), (182, 55, 2.6), (172, 75, 2.6), (158, 98, 2.6), (140, 110, 2.55), (115, 112, 2.5),
                 (89, 115, 2.4), (60, 110, 2.2), (34, 98, 2.0), (8, 90, 1.75), (-22, 72, 1.3), (-50, 45, 0.9)])
CARTILAGE_END = np.array([150, 140, 118, 96, 74, 56, 42])  # height at the sternum of the first seven


def _profile(table: np.ndarray, z: np.ndarray) -> list[np.ndarray]:
    return [np.interp(z, table[:, 0], table[:, k]).astype(np.float32) for k in (1, 2, 3)]


class BodyWall:
    """Distances that the organs need: `cavity` (inside the ribs and the abdominal wall) and `skin`, full grid, mm."""

    def __init__(self, frame: Frame, person: Person, rng: np.random.Generator):
        x, y, z = frame.xc, frame.yc, frame.zc
        square = np.float32(rng.uniform(0.45, 0.7))
        cavity = squircle(x, y, *_profile(CAVITY, z), square)
        width, front, back = _profile(WALL, z)
        belly = np.interp(z, [-250, -150, -40, 60, 150], [1.1, 1.25, 0.9, 0.7, 0.45]).astype(np.float32)
        fat = person.fat_mm * belly
        visceral = (person.fat_mm - 12) * np.interp(z, [-250, -150, -60, 20], [0.6, 1.0, 0.5, 0.0]).astype(np.float32)
        self.belly = visceral
        cavity = cavity - np.clip(visceral, -6, 25) * (y < -40) * np.clip((-40 - y) / 80, 0, 1)
        muscle = squircle(x, y, width, front - np.clip(visceral, -6, 25), back, square)
        muscle = np.minimum(muscle, cavity + np.float32(9.0))
        side = np.clip((y + 20) / 60, 0, 1)
        skin = squircle(x, y, width + fat, front - np.clip(visceral, -6, 25) - fat * np.float32(0.95),
                        back + fat * np.float32(0.75), square)
        skin = skin - 2 * side
        if person.female or person.fat_mm > 22:
            skin = self._breast(frame, person, rng, skin)
        self.cavity, self.muscle, self.skin = (frame.refine(d.astype(np.float32)) for d in (cavity, muscle, skin))

    def _breast(self, frame: Frame, person: Person, rng, skin):
        size = rng.uniform(0.6, 1.3) * (1.0 if person.female else 0.55) * (0.75 + person.fat_mm / 40)
        front = -178 - person.fat_mm * 0.7
        for side in (-1, 1):
            centre = (side * rng.uniform(72, 88), front + 6, 62 + rng.normal(0, 8))
            lump = ellipsoid(frame.xc, frame.yc, frame.zc, centre, (58 * size**0.5, 42 * size, 55 * size**0.5))
            skin = smooth_min(skin, lump, 16.0)
        return skin


def paint_wall(frame: Frame, wall: BodyWall, person: Person, rng: np.random.Generator, texture: np.ndarray) -> None:
    """Skin, subcutaneous fat, muscles and the fat that fills the cavity."""
    everything = (slice(None),) * 3
    hu = person.hu
    frame.paint(everything, wall.skin, hu["skin"])
    frame.paint(everything, wall.skin + np.float32(2.2), hu["fat"])
    muscle = frame.occupancy(wall.muscle)
    # the thick shoulder wall is muscle bellies with fat planes between them; elsewhere little fat
    deep = np.clip((wall.cavity - 14) * (frame.z > 25) / 20, 0, 1.3)
    share = np.clip((texture - np.float32(1.35) + deep) * np.float32(1.6), 0, 0.9)
    frame.blend(everything, muscle, hu["muscle"] + share * (hu["fat"] - hu["muscle"]))
    inner = frame.occupancy(wall.cavity)
    frame.blend(everything, inner, hu["fat"] + np.float32(7) * texture)
    if person.female:
        _glands(frame, wall, person, rng, texture)


def _glands(frame: Frame, wall: BodyWall, person: Person, rng, texture) -> None:
    density = rng.uniform(-0.4, 0.9)
    for side in (-1, 1):
        centre, semi = (side * 80, -190 - person.fat_mm * 0.5, 62), (42, 24, 40)
        box = ellipsoid_box(frame, centre, semi)
        if box is not None:
            shape = ellipsoid(*frame.at(box), centre, semi)
            outside = np.maximum(shape, np.maximum(wall.skin[box] + 7, 3 - wall.muscle[box]))
            share = np.clip(texture[box] + np.float32(density), 0, 1)
            frame.blend(box, frame.occupancy(outside) * share, 30.0)


def _rib_tables(rng: np.random.Generator):
    """Distance in height to the next rib and to the next cartilage: tables (angle, z), and their axes."""
    angles, heights = np.linspace(0, np.pi, 160), np.arange(-220, 240, 2.0)
    rib = np.full((160, len(heights)), 60.0, np.float32)
    cartilage = rib.copy()
    for k, (top, drop, end) in enumerate(RIBS + rng.normal(0, [2.0, 3.0, 0.03], (12, 3))):
        along = np.clip((angles - 0.16) / (end - 0.16), 0, None)
        height = top + 4 * np.sin(np.pi * np.clip(along * 2.5, 0, 1)) - drop * along**1.15
        slope = np.gradient(height, angles) / 105.0
        squeeze = 1 / np.sqrt(1 + slope**2)
        inside = (angles > 0.16) & (angles <= end)
        np.minimum(rib, np.where(inside[:, None], np.abs(heights - height[:, None]) * squeeze[:, None], 60), out=rib)
        goal = CARTILAGE_END[min(k, 6)] if k < 10 else None
        if goal is not None:
            stop = 2.98 if k < 7 else min(end + 0.55, 2.9)
            share = np.clip((angles - end) / (stop - end), 0, 1)
            height = (top - drop) + (goal - (top - drop)) * share**1.5 * (1.0 if k < 7 else 0.55)
            inside = (angles > end) & (angles <= stop)
            np.minimum(cartilage, np.where(inside[:, None], np.abs(heights - height[:, None]) * 0.8, 60), out=cartilage)
    return rib, cartilage, heights


def paint_ribs(frame: Frame, wall: BodyWall, person: Person, rng: np.random.Generator) -> None:
    """Twelve pairs of ribs that slope down to the front, their cartilages and the sternum."""
    rib, cartilage, heights = _rib_tables(rng)
    offset = np.float32(5.0)
    shell = np.flatnonzero((np.abs(wall.cavity - offset) < 9) & (frame.z > -150) & (frame.z < 200))
    x, y, z = (part.ravel()[shell] for part in (frame.x, frame.y, frame.z))
    centre = np.interp(z, CAVITY[:, 0], (CAVITY[:, 2] + CAVITY[:, 3]) / 2)
    angle = np.arctan2(np.abs(x), y - centre)
    row = np.clip(np.rint(angle * (159 / np.pi)), 0, 159).astype(np.int32)
    column = np.clip((z - heights[0]) / 2.0, 0, len(heights) - 1.01)
    low = column.astype(np.int32)
    part = (column - low).astype(np.float32)
    radial = (wall.cavity.ravel()[shell] - offset) / 4.6
    hu, labels = frame.hu.ravel(), frame.labels.ravel()  # views: both arrays are contiguous
    for table, size, value, label in ((cartilage, 6.0, 70 + 60 * person.age, 0),
                                      (rib, 6.6, 0.0, label_named("ribs").id)):
        height = table[row, low] * (1 - part) + table[row, low + 1] * part
        distance = (np.sqrt(radial**2 + (height / size) ** 2) - 1) * np.float32(5.3)
        occupancy = frame.occupancy(distance)
        if label:  # dense rim, softer marrow
            value = np.where(distance < -2.6, person.hu["marrow"] * 0.9, person.hu["cortex"] * 0.85)
        hu[shell] += occupancy * (value - hu[shell])
        labels[shell[occupancy > 0.5]] = label
    _paint_sternum(frame, wall, person)


def _paint_sternum(frame: Frame, wall: BodyWall, person: Person) -> None:
    box = frame.box((-30, -205, 5), (30, -85, 172))
    if box is None:
        return
    x, y, z = frame.at(box)
    width = np.interp(z, [5, 20, 60, 110, 140, 150, 172], [5, 9, 15, 13, 20, 26, 26]).astype(np.float32)
    radial = np.abs(wall.cavity[box] - 6) - 5.5
    distance = np.maximum(np.maximum(np.abs(x) - width, radial), np.maximum(np.abs(z - 88) - 76, y + 85))
    value = np.where(distance < -2.5, person.hu["marrow"] * 0.75, person.hu["cortex"] * 0.6)
    frame.paint(box, distance, value, label_named("ribs").id)


def paint_shoulders(frame: Frame, wall: BodyWall, person: Person) -> None:
    """Clavicles, shoulder blades and humeral heads (bone without a label), and arms beside the body."""
    cortex, marrow = person.hu["cortex"] * 0.8, person.hu["marrow"]
    for side in (-1, 1):
        clavicle = [(side * 18, -122, 158, 8), (side * 60, -112, 176, 6), (side * 105, -70, 190, 6),
                    (side * 138, -50, 196, 7)]
        spine = [(side * 70, 12, 148, 5), (side * 105, 2, 170, 6), (side * 135, -30, 190, 7)]
        for path in (clavicle, spine):
            found = tube(frame, path)
            if found:
                frame.paint(*found, cortex)
        found = tube(frame, [(side * 150, -42, 176, 22), (side * 158, -40, 184, 23)], 1)
        if found:
            frame.paint(found[0], found[1], cortex)
            frame.paint(found[0], found[1] + 4, marrow)
        box = frame.box((min(side * 60, side * 150), -60, 50), (max(side * 60, side * 150), 45, 182))
        if box is not None:
            x, y, z = frame.at(box)
            low = np.interp(np.abs(x), [62, 75, 95, 125, 140], [150, 110, 58, 120, 165]).astype(np.float32)
            blade = np.maximum(np.abs(wall.cavity[box] - np.float32(19)) - 2.6, np.maximum(low - z, z - 178))
            blade = np.maximum(np.maximum(blade, np.abs(np.abs(x) - 100) - 40), -40 - y)
            frame.paint(box, blade, cortex)
        if person.arms == "down":
            _paint_arm(frame, person, side)


def _paint_arm(frame: Frame, person: Person, side: int) -> None:
    x = side * (176 + person.fat_mm)
    path = [(side * 158, -40, 182), (x + side * 22, -45, 100), (x + side * 26, -50, -60), (x + side * 20, -75, -230)]
    for radius, value in ((44 + person.fat_mm * 0.4, person.hu["fat"]), (38, person.hu["muscle"]),
                          (12, person.hu["cortex"]), (6, person.hu["marrow"])):
        found = tube(frame, [(*p, radius) for p in path], 2)
        if found:
            frame.paint(*found, value)


def paint_spine(frame: Frame, person: Person, rng: np.random.Generator) -> None:
    """Vertebral bodies with discs, arches, processes and the canal, sacrum, psoas and the muscles beside the spine."""
    for side in (-1, 1):
        found = tube(frame, [(side * 24, -40, -75, 7), (side * 38, -58, -120, 15), (side * 48, -66, -165, 20),
                             (side * 62, -70, -215, 22), (side * 72, -85, -270, 20)])
        if found:
            frame.paint(*found, person.hu["muscle"])
    box = frame.box((-62, -125, -300), (62, 75, 235))
    if box is None:
        return
    x, y, z = frame.at(box)
    x = np.abs(x)
    body_y = np.interp(z, SPINE_CENTRE[:, 0], SPINE_CENTRE[:, 1]).astype(np.float32)
    slope = np.interp(z, SPINE_CENTRE[:, 0], np.gradient(SPINE_CENTRE[:, 1], SPINE_CENTRE[:, 0])).astype(np.float32)
    deep = y - body_y
    level = z + deep * slope  # height along the curved spine
    order = np.argsort(VERTEBRAE)
    centres = VERTEBRAE[order]
    which = np.clip(np.searchsorted((centres[1:] + centres[:-1]) / 2, level), 0, len(centres) - 1)
    pitch = np.gradient(centres)[which].astype(np.float32)
    rel = level - centres[which]
    wide = np.interp(level, [-210, -140, -60, 60, 150, 200], [25, 23, 19, 15, 14, 12]).astype(np.float32)
    thick = np.interp(level, [-210, -60, 60, 200], [17, 15.5, 13.5, 9.5]).astype(np.float32)
    waist = 1 - np.float32(0.10) * (1 - (2 * rel / pitch) ** 2)
    radial = (np.sqrt((x / (wide * waist)) ** 2 + (deep / (thick * waist)) ** 2) - 1) * (wide + thick) / 2
    end = np.abs(rel) - pitch * np.float32(0.40)
    radial_disc = np.maximum(radial, np.abs(rel) - pitch * np.float32(0.55))
    frame.paint(box, radial_disc - 1.0, 75.0, 0)  # discs and ligaments, from one body to the next
    _paint_arches(frame, person, box, x, deep, rel, pitch, wide, thick)
    body = np.maximum(radial, end)
    value = np.where(body < -2.4, person.hu["marrow"] + 25 * rng.standard_normal(), person.hu["cortex"] * 0.75)
    keep = (z > -222) & (z < 232)
    frame.paint(box, np.where(keep, body, 20), value, label_named("spine").id)


def _paint_arches(frame: Frame, person: Person, box, x, deep, rel, pitch, wide, thick) -> None:
    hu, label = person.hu, label_named("spine").id
    canal = np.sqrt((x / 11) ** 2 + ((deep - thick - 8) / 8.5) ** 2)
    canal_mm = (canal - 1) * 9.5
    z = frame.z[box]
    inside = np.where((z > -222) & (z < 232), 0, 30).astype(np.float32)
    ring = np.maximum(np.maximum(canal_mm - 6.5, -deep + thick * 0.7), np.abs(rel - 0.02 * pitch) - pitch * 0.40)
    lateral = np.maximum(np.maximum(np.abs(deep - thick - 9 - 0.18 * (x - 15)) - 5, x - wide - 17), np.abs(rel - 1) - 6)
    drop = rel + (deep - thick - 15) * 0.45
    spinous = np.maximum(np.maximum(x - 3.6, deep - thick - 43),
                         np.maximum(np.abs(drop) - pitch * 0.27, thick + 12 - deep))
    arch = np.minimum(np.minimum(ring, lateral), spinous)
    arch = np.maximum(np.maximum(arch, -canal_mm), inside)
    frame.paint(box, arch, np.where(arch < -2.5, hu["marrow"] * 1.15, hu["cortex"] * 0.8), label)
    frame.paint(box, np.maximum(canal_mm, inside * 0), 22.0, 0)
    frame.paint(box, np.sqrt(x**2 + (deep - thick - 8) ** 2) - 5.0, 38.0)
