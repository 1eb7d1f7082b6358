"""Which organs and report regions a scan shows: what is outside the field of view is "not imaged", never "normal"."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from uvlm_core.labels import finding_named, label_named, regions

IMAGED, PARTLY, ABSENT = "imaged", "partly imaged", "not imaged"

# Small adult volumes in ml: a whole organ below these is rare, and a mask far below is a stray, not an organ.
LEAST_ML = {
    "lungs": 1500.0, "trachea": 15.0, "heart": 300.0, "aorta": 40.0, "esophagus": 10.0, "liver": 800.0, "spleen": 60.0,
    "stomach": 50.0, "kidney_left": 70.0, "kidney_right": 70.0, "pancreas": 30.0, "bowel": 200.0, "spine": 100.0,
    "ribs": 60.0,
}
STRAY = 0.06  # of the least volume: less than that shows no organ
LARGE_CUT = 0.1  # of the surface of a ball of an organ's volume: with more of it at the scan's edge the organ is cut
COMPACT = ("lungs", "heart", "liver", "spleen", "stomach", "kidney_left", "kidney_right", "pancreas")  # seen whole
LOBES = ("lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
         "lung_lower_lobe_right")
LUNG_FILLING = ("lung_nodule", "consolidation", "lung_opacity", "atelectasis", "emphysema")  # masks that replace lung

# Organs by which a region is seen, the leading one first: the region is as well imaged as the best of the leaders.
REGION_ORGANS = {
    "lungs": ("lungs",), "airways": ("trachea", "lungs"), "pleura": ("lungs",), "heart": ("heart",),
    "mediastinum": ("heart", "trachea"), "abdomen": ("liver", "spleen", "kidney_left", "kidney_right", "pancreas"),
    "bones": ("spine", "ribs"),
}
FINDING_ORGANS = {
    "Hiatal hernia": ("stomach",), "Arterial wall calcification": ("aorta", "heart"),
    "Liver lesion": ("liver",), "Kidney lesion": ("kidney_left", "kidney_right"), "Pancreas lesion": ("pancreas",),
}


@dataclass(frozen=True)
class FieldOfView:
    """`organs`, `regions`: name -> "imaged", "partly imaged" or "not imaged"."""

    organs: dict[str, str]
    regions: dict[str, str]

    def of_finding(self, name: str) -> str:
        """How well the place of a finding is imaged."""
        organs = FINDING_ORGANS.get(name)
        if organs is None:
            return self.regions[finding_named(name).region]
        return _best(self.organs[organ] for organ in organs)

    @property
    def shown(self) -> list[str]:
        """Names of the regions that are imaged, at least partly, in report order."""
        return [name for name in regions() if self.regions[name] != ABSENT]


def field_of_view(labels: np.ndarray, voxel_ml: float, inside: np.ndarray) -> FieldOfView:
    """What a label map shows.

    Args:
        labels: (Z, Y, X) uint8 on the model grid, z to superior.
        voxel_ml: of one grid voxel.
        inside: (Z, Y, X) True where the scan was imaged.
    """
    border = _border(inside)
    voxels = np.bincount(labels.ravel(), minlength=256)
    counts = voxels * voxel_ml
    at_border = np.bincount(labels[border], minlength=256)
    organs = {}
    for name, least in LEAST_ML.items():
        ids = [label_named(part).id for part in (*LOBES, *LUNG_FILLING)] if name == "lungs" else [label_named(name).id]
        cut = sum(at_border[ids]) / (4.84 * max(1, sum(voxels[ids])) ** (2 / 3))
        organs[name] = _coverage(sum(counts[ids]), cut, least, LARGE_CUT if name in COMPACT else np.inf)
    if organs["lungs"] == IMAGED and _one_lung_is_missing(counts):
        organs["lungs"] = PARTLY
    seen = {name: _best(organs[organ] for organ in parts) for name, parts in REGION_ORGANS.items()}
    if seen["abdomen"] == IMAGED and organs["liver"] != IMAGED:
        seen["abdomen"] = PARTLY  # a kidney alone is not the upper abdomen
    seen["devices"] = IMAGED if len(labels) else ABSENT
    return FieldOfView(organs, {name: seen[name] for name in regions()})


def _one_lung_is_missing(counts: np.ndarray) -> bool:
    """True where the lobes of a side are but a stray, and no disease that fills a lung stands in their place."""
    filling = sum(counts[label_named(name).id] for name in LUNG_FILLING)
    sides = [sum(counts[label_named(name).id] for name in LOBES if name.endswith(side)) for side in ("left", "right")]
    return min(sides) + filling < STRAY * LEAST_ML["lungs"] / 2


def _coverage(volume_ml: float, cut: float, least_ml: float, most_cut: float) -> str:
    """`cut` and `most_cut`: how much of the organ lies at the edge of the scan, as a share of the surface of a ball of
    its volume."""
    if volume_ml < STRAY * least_ml:
        return ABSENT
    return PARTLY if cut > most_cut or (cut and volume_ml < least_ml) else IMAGED


def _best(states) -> str:
    states = list(states)
    return next(state for state in (IMAGED, PARTLY, ABSENT) if state in states)


def _border(inside: np.ndarray) -> np.ndarray:
    """(Z, Y, X) bool, imaged voxels next to ones that were not, or at the end of the grid.

    The grid leaves a margin around the body, so only an organ that was cut reaches its end.
    """
    padded = np.pad(inside, 1)
    core = inside.copy()
    for axis in range(3):
        for shift in (-1, 1):
            core &= np.roll(padded, shift, axis)[1:-1, 1:-1, 1:-1]
    return inside & ~core
