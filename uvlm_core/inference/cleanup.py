"""Clean masks: strays of organs and specks of lesions are taken out of the scores, on the model grid.

The scores are changed and not the label map, so that what stood second takes the place and the way back to the scan
stays smooth. Nothing is filled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import ndimage

from uvlm_core.labels import Label, label_named, labels

EVERY_NEIGHBOUR = np.ones((3, 3, 3), bool)

# Organs that the end of the scan, or disease, can cut in two: parts of at least this share of the largest one stay.
PARTS = {"aorta": 0.1, "esophagus": 0.15, "trachea": 0.25, "pancreas": 0.25, "lung_upper_lobe_left": 0.15,
         "lung_lower_lobe_left": 0.15, "lung_upper_lobe_right": 0.15, "lung_middle_lobe_right": 0.2,
         "lung_lower_lobe_right": 0.15}
LEAST_ORGAN_ML = 0.6  # below that no part of an organ, single or not, is believed

# A part of a lesion mask smaller than this many ml is a speck.
LEAST_LESION_ML = {
    "lung_nodule": 0.2, "consolidation": 0.5, "lung_opacity": 0.5, "atelectasis": 0.5, "emphysema": 0.5,
    "pleural_effusion": 0.5, "pericardial_effusion": 0.5, "arterial_calcification": 0.02,
    "coronary_calcification": 0.02, "hiatal_hernia": 1.0, "lymphadenopathy": 0.1, "medical_material": 0.05,
    "liver_lesion": 0.1, "kidney_lesion": 0.1, "pancreas_lesion": 0.1,
}
MOST_PARTS = 60  # of one lesion label, the largest
LEAST_PEAK = 0.5  # the surest voxel of a lesion

# A lesion stays only where it lies in or next to one of these; None: it may lie anywhere.
_LUNG = tuple(label.name for label in labels() if "_lobe_" in label.name)
_LUNG_DISEASE = ("consolidation", "lung_opacity", "atelectasis", "emphysema")
HOSTS: dict[str, tuple[str, ...] | None] = {
    "lung_nodule": (*_LUNG, *_LUNG_DISEASE), "consolidation": (*_LUNG, "pleural_effusion"),
    "lung_opacity": (*_LUNG, "consolidation"), "atelectasis": (*_LUNG, "pleural_effusion"), "emphysema": _LUNG,
    "pleural_effusion": (*_LUNG, *_LUNG_DISEASE), "pericardial_effusion": ("heart",),
    "arterial_calcification": ("aorta", "heart"), "coronary_calcification": ("heart",),
    "hiatal_hernia": ("esophagus", "stomach", "heart", "aorta"),
    "lymphadenopathy": ("trachea", "aorta", "heart", "esophagus", *_LUNG), "medical_material": None,
    "liver_lesion": ("liver",), "kidney_lesion": ("kidney_left", "kidney_right"), "pancreas_lesion": ("pancreas",),
}
REACH_MM = 6.0


def clean_scores(scores: np.ndarray, names: tuple[str, ...], spacing: tuple[float, float, float],
                 part_limits: Mapping[str, float], body: np.ndarray | None = None) -> np.ndarray:
    """Takes strays, specks and false alarms out of `scores`, in place.

    Args:
        scores: (C, Z, Y, X) probabilities on the model grid.
        names: label name of each channel, channel 0 background.
        spacing: (z, y, x) mm.
        part_limits: of the bundle: lesion label -> mean probability below which a part of its mask is a false alarm.
        body: (Z, Y, X) bool of `near_body`: lung that lies nowhere in it is the pad of the table.

    Returns:
        (Z, Y, X) uint8 channel of the highest score after cleaning.
    """
    voxel_ml = float(np.prod(spacing)) / 1000
    winner = highest(scores)
    known = [(channel, label_named(name)) for channel, name in enumerate(names) if channel]
    for channel, label in known:
        if label.kind == "organ":
            apart = body if "_lobe_" in label.name else None
            _remove(scores, winner, channel, _stray_parts(winner, channel, label, voxel_ml, apart))
    hosts = winner.copy()
    channels = {label.name: channel for channel, label in known}
    steps = max(1, round(REACH_MM / max(spacing)))
    for channel, label in known:
        if label.kind == "lesion":
            wanted = HOSTS.get(label.name)
            wanted = None if wanted is None else [channels[name] for name in wanted if name in channels]
            limit = part_limits.get(label.name, 0.0)
            found = _speck_parts(winner, scores, channel, label, voxel_ml, limit, hosts, wanted, steps)
            _remove(scores, winner, channel, found)
    return winner


def highest(scores: np.ndarray) -> np.ndarray:
    """(C, Z, Y, X) -> (Z, Y, X) uint8 argmax, slice by slice to stay small."""
    return np.stack([part.argmax(0).astype(np.uint8) for part in np.moveaxis(scores, 1, 0)])


def connected_parts(winner: np.ndarray, channel: int):
    """Box, numbered parts and their voxel counts (index 0 is outside) of one channel; None where it wins nowhere."""
    box = ndimage.find_objects((winner == channel).astype(np.uint8))
    if not box:
        return None
    parts, _ = ndimage.label(winner[box[0]] == channel, EVERY_NEIGHBOUR)
    return box[0], parts, np.bincount(parts.ravel())


def _stray_parts(winner: np.ndarray, channel: int, label: Label, voxel_ml: float, body: np.ndarray | None):
    found = connected_parts(winner, channel)
    if found is None:
        return None
    box, parts, sizes = found
    if body is not None:
        sizes = np.where(ndimage.maximum(body[box], parts, np.arange(len(sizes))) > 0, sizes, 0)
    largest = sizes[1:].max()
    keep = sizes * voxel_ml >= LEAST_ORGAN_ML
    if label.single_component:
        share = PARTS.get(label.name)
        keep &= (sizes == largest) if share is None else (sizes >= share * largest)
        if share is None and keep[1:].sum() > 1:  # two of one size: the first
            keep[np.flatnonzero(keep)[2 if keep[0] else 1 :]] = False
    keep[0] = True
    return box, ~keep[parts]


def _speck_parts(winner: np.ndarray, scores: np.ndarray, channel: int, label: Label, voxel_ml: float,
                 limit: float, hosts: np.ndarray, wanted: list[int] | None, steps: int):
    found = connected_parts(winner, channel)
    if found is None:
        return None
    box, parts, sizes = found
    keep = sizes * voxel_ml >= LEAST_LESION_ML.get(label.name, 0.1)
    numbers = np.arange(len(sizes))
    sure = scores[channel][box].astype(np.float32)
    keep &= ndimage.maximum(sure, parts, numbers) >= LEAST_PEAK
    keep &= np.bincount(parts.ravel(), sure.ravel()) >= limit * sizes
    keep &= sizes >= np.sort(sizes[1:])[-MOST_PARTS:].min()
    if wanted is not None:
        keep &= ndimage.maximum(_near(hosts, wanted, box, steps), parts, numbers) > 0
    keep[0] = True
    return box, ~keep[parts]


def _near(hosts: np.ndarray, wanted: list[int], box: tuple[slice, ...], steps: int) -> np.ndarray:
    """Bool of the box's shape: within `steps` voxels of a wanted channel."""
    wide, inner = _widened(box, steps, hosts.shape)
    mask = np.isin(hosts[wide], wanted)
    return _widen(mask, steps)[inner]


def _widened(box: tuple[slice, ...], by: int, shape: tuple[int, ...]):
    """The box with a margin, and the box's own place in it."""
    wide = tuple(slice(max(0, side.start - by), min(size, side.stop + by))
                 for side, size in zip(box, shape, strict=True))
    inner = tuple(slice(side.start - outer.start, side.stop - outer.start)
                  for side, outer in zip(box, wide, strict=True))
    return wide, inner


def _widen(mask: np.ndarray, steps: int) -> np.ndarray:
    """Dilation by a cube, one axis after the other: many times faster than a structuring element."""
    return ndimage.maximum_filter(mask.astype(np.uint8), 2 * steps + 1, mode="constant").astype(bool)


def _remove(scores: np.ndarray, winner: np.ndarray, channel: int, found) -> None:
    """Sets the channel to 0 in the marked voxels and their surroundings, but not next to what stays of it."""
    if found is None or not found[1].any():
        return
    box, gone = found
    wide, inner = _widened(box, 1, winner.shape)
    marked = np.zeros(winner[wide].shape, bool)
    marked[inner] = gone
    stays = (winner[wide] == channel) & ~marked
    area = _widen(marked, 1) & ~_widen(stays, 1)
    area |= marked
    scores[(channel, *wide)][area] = 0
    places = tuple(index + side.start for index, side in zip(np.nonzero(marked), wide, strict=True))
    rest = scores[(slice(None), *places)].copy()
    winner[places] = rest.argmax(0)
