"""Sacrum, hip bones, hip joints and thigh bones, with bladder, rectum and the iliac vessels.

Only the sacrum (spine) and the rectum (bowel) have a label: all the other bone is there so that a model learns that not
every dense bone of the lower body is spine.
"""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import label_named
from uvlm_core.phantom.frame import Frame
from uvlm_core.phantom.person import Person
from uvlm_core.phantom.shapes import ellipsoid, ellipsoid_box, tube

SACRUM_TOP, SACRUM_END = -222, -312
HIP = (90, -45, -314)  # the centre of the left femoral head
# paths of (x, y, z, radius) on the left; the right side is their mirror image
PUBIS_AND_ISCHIUM = [
    [(80, -66, -318, 14), (50, -95, -326, 9), (16, -110, -335, 10), (10, -108, -347, 11)],
    [(12, -104, -350, 9), (34, -70, -374, 7), (56, -36, -390, 12)],
    [(84, -26, -322, 19), (72, -16, -352, 16), (60, -22, -386, 16)]]
FEMUR = [[(90, -45, -314, 17), (112, -41, -328, 15), (132, -38, -344, 18)],
         [(136, -34, -326, 15), (134, -38, -350, 18), (128, -48, -400, 14.5), (116, -52, -490, 13)]]
ILIAC_ARTERY = [(50, -95, -252, 5.5), (64, -92, -275, 5.5), (80, -118, -318, 5.5), (84, -112, -380, 5)]
ILIAC_VEIN = [(40, -84, -235, 7), (56, -80, -266, 6.5), (70, -112, -318, 6.5), (74, -104, -380, 6)]
RECTUM = [(8, -38, -272, 13), (2, -12, -300, 15), (0, 4, -330, 17), (0, -14, -360, 15), (0, -2, -385, 9)]


def paint_pelvis(frame: Frame, person: Person, rng: np.random.Generator, under: np.ndarray) -> None:
    """All of it, from the inside out; a scan that ends above the iliac crests is left as it is.

    Args:
        under: (Z, Y, X) signed distance in mm to the cavity.
    """
    if frame.box((-150, -120, -500), (150, 60, -165)) is None:
        return
    _paint_soft_parts(frame, person, rng, under)
    _paint_sacrum(frame, person)
    for side in (-1, 1):
        _paint_wing(frame, person, side)
        for path in PUBIS_AND_ISCHIUM:
            _bone(frame, person, tube(frame, _mirrored(path, side)), 0.8)
        _paint_hip(frame, person, side)
    found = tube(frame, [(0, -110, -333, 5), (0, -106, -350, 5)])
    if found:  # the cartilage of the symphysis
        frame.paint(*found, 70.0 + 60 * person.age, 0)


def _mirrored(path, side: int) -> list[tuple[float, ...]]:
    return [(side * x, *rest) for x, *rest in path]


def _bone(frame: Frame, person: Person, found, density: float, rim: float = 3.0, label: int = 0) -> None:
    """Dense rim and marrow; the bone takes the place of what was there."""
    if found:
        box, distance = found
        value = np.where(distance < -rim, person.hu["marrow"] * 0.8, person.hu["cortex"] * density)
        frame.paint(box, distance, value, label)


def _paint_sacrum(frame: Frame, person: Person) -> None:
    box = frame.box((-62, -80, -345), (62, 75, -205))
    if box is None:
        return
    x, y, z = frame.at(box)
    middle = -22 - (z - SACRUM_TOP) * 0.62
    width = np.interp(z, [SACRUM_END, -280, -225], [14, 34, 52]).astype(np.float32)
    sacrum = np.maximum(np.abs(x) - width, np.abs(y - middle + 0.06 * np.abs(x)) - 17)
    sacrum = np.maximum(np.maximum(sacrum, z - SACRUM_TOP), SACRUM_END - z)
    spine = label_named("spine").id
    _bone(frame, person, (box, sacrum), 0.8, label=spine)
    canal = np.hypot(x / 1.6, y - middle - 7) - np.interp(z, [-300, -225], [2.5, 6]).astype(np.float32)
    frame.paint(box, np.maximum(canal, -300 - z), 20.0)
    _bone(frame, person, tube(frame, [(0, 32, -312, 8), (0, 28, -326, 6.5), (0, 18, -338, 4.5)]), 0.8, label=spine)


def _paint_wing(frame: Frame, person: Person, side: int) -> None:
    """The iliac wing: a curved sheet from the sacrum to the front and down to the hip joint."""
    box = frame.box((min(side * 40, side * 160), -125, -325), (max(side * 40, side * 160), 60, -165))
    if box is None:
        return
    x, y, z = frame.at(box)
    out = np.abs(x)
    crest = -178 - 0.006 * (y + 45) ** 2
    thick = np.interp(z, [-310, -280, -200, -178], [12, 8, 5.5, 7]).astype(np.float32)
    sheet = np.abs(out - (62 + 0.55 * (10 - y) + 0.3 * (z + 250)) * 0.9) * 0.82 - thick
    front = np.interp(z, [-320, -225], [-80, -118]).astype(np.float32)
    back = np.interp(z, [-318, -272, -238], [-25, -8, 28]).astype(np.float32)  # above the sciatic notch
    wing = np.maximum(np.maximum(sheet, z - crest), np.maximum(front - y, y - back))
    _bone(frame, person, (box, np.maximum(wing, -318 - z)), 0.8)


def _paint_hip(frame: Frame, person: Person, side: int) -> None:
    """The socket, open to the outside and below, cartilage, and the thigh bone with its head in it."""
    centre = np.array(HIP) * [side, 1, 1]
    box = ellipsoid_box(frame, centre, (38, 38, 38))
    if box is not None:
        x, y, z = frame.at(box)
        ball = ellipsoid(x, y, z, centre, (36, 36, 36))
        open_side = side * (x - centre[0]) * 0.75 - (z - centre[2]) * 0.66 - 8
        _bone(frame, person, (box, np.maximum(ball, open_side)), 0.9)
        frame.paint(box, ellipsoid(x, y, z, centre, (28, 28, 28)), 60.0, 0)
    for path in FEMUR:
        _bone(frame, person, tube(frame, _mirrored(path, side)), 1.3, 5.0)
    if box is not None:
        _bone(frame, person, (box, ellipsoid(x, y, z, centre, (25, 25, 25))), 0.9)


def _paint_soft_parts(frame: Frame, person: Person, rng: np.random.Generator, under: np.ndarray) -> None:
    """Bladder, uterus or prostate, rectum, and the vessels that go to the legs."""
    hu = person.hu
    size, lift = rng.uniform(0.65, 1.25), rng.normal(0, 4)
    organs = [((0, -82, -318 + 14 * size + lift), np.array([40, 32, 30]) * size, hu["fluid"])]
    if person.female:
        organs.append(((rng.normal(0, 6), -42, -298), np.array([34, 22, 30]) * rng.uniform(0.7, 1.2), None))
    else:
        organs.append(((0, -62, -352), np.array([24, 18, 18]) * rng.uniform(0.8, 1.4), None))
    for centre, semi, filling in reversed(organs):
        box = ellipsoid_box(frame, centre, semi)
        if box is None:
            continue
        distance = np.maximum(ellipsoid(*frame.at(box), centre, semi), under[box] + 1)
        frame.paint(box, distance, hu["bowel_wall"], 0)
        if filling is not None:
            frame.paint(box, distance + 3, filling)
    for path, value in zip((ILIAC_ARTERY, ILIAC_VEIN), (hu["blood"], hu["vein"]), strict=True):
        for side in (-1, 1):
            found = tube(frame, _mirrored(path, side))
            if found:
                frame.paint(*found, value, 0)
    found = tube(frame, RECTUM)
    if found:
        box, distance = found
        distance = np.maximum(distance, under[box] + 1)
        frame.paint(box, distance, hu["bowel_wall"], label_named("bowel").id)
        frame.paint(box, distance + 4, float(rng.choice([-900.0, -200.0, 35.0])))
