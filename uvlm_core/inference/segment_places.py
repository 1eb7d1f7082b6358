"""Which parts of a lesion's label belong to which row of study.json, told by where they are.

After an edit sizes tell nothing: the rows keep their order, and a mask may have been left in two parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from uvlm_core.errors import StudyError

SLACK_MM = 0.02  # boxes and centroids are kept with two digits
SLACK_ML = 0.001  # volumes with three


@dataclass(frozen=True)
class _Parts:
    """Of each part, from 1 on: voxels, sum of their places in RAS mm, lowest and highest corner in RAS mm."""

    voxels: np.ndarray
    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray


def rows_of_parts(parts: np.ndarray, corner: Sequence[int], rows: Sequence[dict], ijk_to_ras: np.ndarray) -> np.ndarray:
    """For each part, from 1 on, the number of its row (from 0), -1 where it lies in the box of none.

    A part that is just what a row says is that row's. Of the others, each belongs to the row whose box it lies in, and
    where that are several, to the one with the nearest centroid.

    Args:
        parts: (z, y, x) the parts of one label, numbered from 1.
        corner: place (z, y, x) of that array's first voxel in the scan.
        rows: the `segments` of study.json with this label.
        ijk_to_ras: 4x4 of the scan, mm.

    Raises:
        StudyError: a row gets other voxels than those that it was measured of.
    """
    found = _measured(parts, corner, ijk_to_ras)
    voxel_ml = abs(float(np.linalg.det(ijk_to_ras[:3, :3]))) / 1000
    low, high = (np.array([row["bbox_ras_mm"][end] for row in rows], float)[:, None] for end in (0, 1))
    centres = np.array([row["centroid_ras_mm"] for row in rows], float)
    volumes = np.array([row["volume_ml"] for row in rows], float)
    away = np.linalg.norm(found.sums / found.voxels[:, None] - centres[:, None], axis=-1)  # (rows, parts)
    within = ((found.low >= low - SLACK_MM) & (found.high <= high + SLACK_MM)).all(-1)
    filling = ((found.low <= low + SLACK_MM) & (found.high >= high - SLACK_MM)).all(-1)
    same = within & filling & _equal(found.voxels * voxel_ml, volumes[:, None]) & (away <= 2 * SLACK_MM)

    owners = np.full(len(found.voxels), -1)
    taken = np.zeros(len(rows), bool)
    for number in np.flatnonzero(same.any(1)):
        part = int(np.argmin(np.where(same[number] & (owners < 0), away[number], np.inf)))
        if same[number, part] and owners[part] < 0:
            owners[part], taken[number] = number, True
    within &= ~taken[:, None]
    free = (owners < 0) & within.any(0)
    owners[free] = np.where(within, away, np.inf).argmin(0)[free]
    for number, row in enumerate(rows):
        _check(row, found, owners == number, voxel_ml)
    return owners


def _measured(parts: np.ndarray, corner: Sequence[int], ijk_to_ras: np.ndarray) -> _Parts:
    to_ras = ijk_to_ras[:3, :3][:, ::-1]  # columns for z, y, x
    origin = to_ras @ np.array(corner, float) + ijk_to_ras[:3, 3]
    boxes = ndimage.find_objects(parts)
    ends = np.array([[(side.start - 0.5, side.stop - 0.5) for side in box] for box in boxes]).reshape(-1, 3, 2)
    middle, half = ends.mean(-1) @ to_ras.T + origin, (ends[..., 1] - ends[..., 0]) / 2 @ np.abs(to_ras).T
    index = np.nonzero(parts)
    numbers = parts[index] - 1
    voxels = np.bincount(numbers, minlength=len(boxes))
    sums = np.stack([np.bincount(numbers, places, len(boxes)) for places in index], -1)
    return _Parts(voxels, sums @ to_ras.T + voxels[:, None] * origin, middle - half, middle + half)


def _equal(volume_ml: np.ndarray | float, told_ml: np.ndarray | float) -> np.ndarray | bool:
    return abs(volume_ml - told_ml) <= SLACK_ML + 1e-5 * told_ml


def _check(row: dict, found: _Parts, own: np.ndarray, voxel_ml: float) -> None:
    """Raises StudyError where the voxels of a row are not those that its numbers were measured of."""
    count = int(found.voxels[own].sum())
    off = np.linalg.norm(found.sums[own].sum(0) / max(count, 1) - np.array(row["centroid_ras_mm"], float))
    if _equal(count * voxel_ml, row["volume_ml"]) and off <= 5 * SLACK_MM:
        return
    wrong = (f"has {count * voxel_ml:.3f} ml in the segmentation and {row['volume_ml']:.3f} ml in study.json"
             if not _equal(count * voxel_ml, row["volume_ml"]) else "lies elsewhere than study.json says")
    raise StudyError(f"The mask '{row['title']}' ({row['id']}) {wrong}: it touches or overlaps another mask, or was "
                     "changed and not measured again. Separate the masks in the Segment Editor, wait until they are "
                     "measured, and export the study once more.")
