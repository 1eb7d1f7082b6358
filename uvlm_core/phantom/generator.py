"""A synthetic CT of chest and abdomen from a seed: anatomy, findings, scanner."""

from __future__ import annotations

import numpy as np

from uvlm_core.errors import CaseError
from uvlm_core.phantom import abdomen, body, pelvis, thorax
from uvlm_core.phantom.case import PhantomCase, imaged_regions, planted_findings
from uvlm_core.phantom.frame import Frame
from uvlm_core.phantom.lesions import DRAWN, draw_findings
from uvlm_core.phantom.person import Person, random_person
from uvlm_core.phantom.scanner import SCANNERS
from uvlm_core.phantom.scene import Scene
from uvlm_core.phantom.shapes import rotation_matrix
from uvlm_core.volumes.volume import Volume

# region: height in the atlas of the middle of the scan, least and largest length in mm, share of the random choice
REGIONS = {"chest": (62.0, (250, 330), 0.35), "abdomen": (-75.0, (240, 330), 0.2), "both": (-5.0, (340, 440), 0.45),
           "pelvis": (-185.0, (420, 480), 0.0)}  # "pelvis": from the liver to the thighs
NORMAL_SHARE = 0.1
DRAWING = 3  # to be raised with every change that gives a seed another phantom: prepared cases are made anew then


def make_phantom(seed: int, shape: tuple[int, int, int] = (96, 128, 128),
                 spacing: tuple[float, float, float] | None = None, region: str | None = None,
                 findings: bool = True, share: float | None = None, scanner: str = "usual") -> PhantomCase:
    """One case; the same arguments give the same bytes.

    Args:
        shape: (Z, Y, X) voxels.
        spacing: (z, y, x) mm; by default drawn so that the grid holds the width of a torso.
        region: one of REGIONS, or None for a random one.
        findings: False leaves the bare anatomy.
        share: chance of each finding; by default drawn per case, between 0.12 and 0.38.
        scanner: one of SCANNERS; no model that comes with UVLM was trained or measured on others than the usual one.

    Raises:
        CaseError: a negative seed, an unknown region or scanner, or a shape or spacing that no scan has.
    """
    if seed < 0:
        raise CaseError(f"A phantom's seed is 0 or more; found {seed}.")
    if region not in (None, *REGIONS):
        raise CaseError(f"A phantom shows one of {', '.join(REGIONS)}; found '{region}'.")
    if scanner not in SCANNERS:
        raise CaseError(f"A phantom's scanner is one of {', '.join(SCANNERS)}; found '{scanner}'.")
    if min(shape) < 16 or (spacing is not None and not 0.3 <= min(spacing) <= max(spacing) <= 12):
        raise CaseError("A phantom has at least 16 voxels along each axis and 0.3 to 12 mm spacing; "
                        f"found shape {shape}, spacing {spacing}.")
    rng = np.random.default_rng(seed)
    region = region or str(rng.choice([*REGIONS], p=[share for *_, share in REGIONS.values()]))
    spacing = spacing or _spacing(region, shape, rng)
    wanted = _wanted(rng, share) if findings else set()
    person = random_person(rng, "heart" in wanted)
    frame = _anatomy(person, shape, spacing, region, rng)
    matrix = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    matrix[:3, 3] = np.round(rng.normal(0, 80, 3), 1)
    scene = Scene(frame.hu, frame.labels, spacing, rng)
    extras = draw_findings(scene, wanted)
    hu = SCANNERS[scanner](scene.hu, spacing, rng)
    by_label = {"medical_material": "Medical material"}
    enlarged = person.cardiomegaly and scene.volume_ml("heart") > 150
    planted = planted_findings(scene.labels, hu, matrix, {by_label[k]: v for k, v in extras.items() if k in by_label},
                               enlarged)
    imaged = imaged_regions(scene.labels, float(np.prod(spacing)) / 1000)
    volume = Volume(hu, matrix, f"phantom_{seed}", {"modality": "CT", "source": "UVLM phantom", "seed": seed})
    return PhantomCase(volume, scene.labels, planted, imaged, seed)


def _spacing(region: str, shape, rng: np.random.Generator) -> tuple[float, float, float]:
    across = rng.uniform(370, 430) / shape[2]
    return tuple(round(float(step), 3) for step in (rng.uniform(*REGIONS[region][1]) / shape[0], across, across))


def _wanted(rng: np.random.Generator, share: float | None) -> set[str]:
    """Labels of the lesions to draw; "heart" stands for an enlarged heart."""
    if rng.random() < NORMAL_SHARE:
        return set()
    usual = rng.uniform(0.12, 0.38)
    share = usual if share is None else share
    return {label for label in [*(row[0] for row in DRAWN), "heart"] if rng.random() < share}


def _anatomy(person: Person, shape, spacing, region: str, rng: np.random.Generator) -> Frame:
    """The body without findings, painted from the outside in."""
    centre = (rng.normal(0, 6), -70 + rng.normal(0, 6), REGIONS[region][0] + rng.normal(0, 18))
    frame = Frame(shape, spacing, centre, rotation_matrix(*rng.normal(0, [5, 3, 3])), person.scale, rng,
                  warp_mm=rng.uniform(1.5, 4.5), bend=(rng.normal(0, 4), rng.normal(0, 3)))
    texture, fine = frame.random_field(rng, 25.0), frame.random_field(rng, 9.0)
    wall, diaphragm = body.BodyWall(frame, person, rng), thorax.Diaphragm(frame, rng)
    body.paint_wall(frame, wall, person, rng, texture)
    lung = thorax.paint_lungs(frame, wall, diaphragm, person, rng, texture)
    thorax.paint_lung_vessels(frame, lung, person, rng)
    abdomen.paint_abdomen(frame, wall, diaphragm, person, rng, texture, fine)
    body.paint_spine(frame, person, rng)
    pelvis.paint_pelvis(frame, person, rng, wall.cavity)
    body.paint_ribs(frame, wall, person, rng)
    body.paint_shoulders(frame, wall, person)
    thorax.paint_heart(frame, wall, person, rng, texture)
    thorax.paint_vessels(frame, person, rng)
    thorax.paint_airways(frame, person)
    thorax.paint_esophagus(frame, person, rng)
    thorax.paint_fat_pads(frame, person, rng)
    return frame
