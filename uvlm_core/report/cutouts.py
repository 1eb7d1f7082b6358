"""Measuring one mask that was cut out of its scan, with a label map, fine or coarse, that says what lies around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from uvlm_core.labels import Label, label_named
from uvlm_core.report.measurements import (
    CONNECTED,
    LOBES,
    MARGIN,
    host_of,
    middle_of_patient,
    seen_cardiothoracic_ratio,
    segment_of,
)
from uvlm_core.report.segments import Segment

EXACT = 1e-3  # voxels; matrices that agree so well belong to one grid


@dataclass(frozen=True)
class Context:
    """`labels` (Z, Y, X) uint8 of the scan or of its surroundings, on any grid; `ijk_to_ras` 4x4 in mm."""

    labels: np.ndarray
    ijk_to_ras: np.ndarray

    @cached_property
    def middle(self) -> float:
        """R coordinate of the patient's middle in mm."""
        return middle_of_patient(self.labels, self.ijk_to_ras)

    def seen_from(self, ijk_to_ras: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """(Z, Y, X) uint8: the label nearest to each voxel of another grid; 0 beyond the map."""
        to_own = np.linalg.inv(self.ijk_to_ras) @ ijk_to_ras
        places = _nearest(to_own, shape)
        if places is not None:
            within = [(place >= 0) & (place < size) for place, size in zip(places, self.labels.shape, strict=True)]
            out = np.zeros(shape, np.uint8)
            out[np.ix_(*within)] = self.labels[np.ix_(*(place[hit] for place, hit in zip(places, within, strict=True)))]
            return out
        return np.stack([self._slice(to_own, z, shape[1:]) for z in range(shape[0])])

    def _slice(self, to_own: np.ndarray, z: int, shape: tuple[int, int]) -> np.ndarray:
        y, x = np.indices(shape)
        i, j, k = (np.rint(to_own[row, 0] * x + to_own[row, 1] * y + to_own[row, 2] * z + to_own[row, 3]).astype(int)
                   for row in range(3))
        sizes = self.labels.shape
        within = (k >= 0) & (k < sizes[0]) & (j >= 0) & (j < sizes[1]) & (i >= 0) & (i < sizes[2])
        out = np.zeros(shape, np.uint8)
        out[within] = self.labels[k[within], j[within], i[within]]
        return out

    def with_mask(self, label: Label, mask: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray | None:
        """A copy of the labels in which an organ's mask stands anew; None where the two grids are not parallel."""
        places = _nearest(np.linalg.inv(ijk_to_ras) @ self.ijk_to_ras, self.labels.shape)
        if places is None:
            return None
        within = [(place >= 0) & (place < size) for place, size in zip(places, mask.shape, strict=True)]
        out = self.labels.copy()
        out[out == label.id] = 0
        box = tuple(slice(int(hits[0]), int(hits[-1]) + 1) if len(hits := np.flatnonzero(hit)) else slice(0, 0)
                    for hit in within)
        inside = mask[np.ix_(*(place[hit] for place, hit in zip(places, within, strict=True)))]
        out[box][inside] = label.id
        return out

    def reaches_border(self, mask: np.ndarray, ijk_to_ras: np.ndarray) -> bool | None:
        """Whether a mask touches the first or last slice along any axis; None where the map is on another grid."""
        to_own = np.linalg.inv(self.ijk_to_ras) @ ijk_to_ras
        offset = to_own[2::-1, 3]
        if np.abs(to_own[:3, :3] - np.eye(3)).max() > EXACT or np.abs(offset - np.rint(offset)).max() > 0.1:
            return None
        for axis, size in enumerate(self.labels.shape):
            used = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis}))) + int(np.rint(offset[axis]))
            if len(used) and (used[0] <= 0 or used[-1] >= size - 1):
                return True
        return False


def _nearest(matrix: np.ndarray, shape: tuple[int, int, int]) -> list[np.ndarray] | None:
    """Index (z, y, x) along each axis of another grid for the voxels of `shape`; None where the axes are not parallel.

    Args:
        matrix: 4x4 from (i, j, k) of `shape` to that of the other grid.
    """
    off = matrix[:3, :3] - np.diag(np.diag(matrix[:3, :3]))
    if (np.abs(off) * np.array(shape[::-1])).max() > 0.25:  # voxels, over the whole width
        return None
    return [np.rint(matrix[2 - axis, 2 - axis] * np.arange(size) + matrix[2 - axis, 3]).astype(int)
            for axis, size in enumerate(shape)]


def measure_cutout(name: str, label: Label, mask: np.ndarray, image: np.ndarray, ijk_to_ras: np.ndarray,
                   context: Context | None = None) -> Segment | None:
    """What `measurements.measure_segments` would give for this mask in the whole scan; None for an empty one.

    Args:
        name: id of the segment.
        mask, image: (Z, Y, X) bool and HU of the cut-out, which holds the whole mask.
        ijk_to_ras: 4x4 of the cut-out.
        context: for side and place of lesions; without it they are None where they come from the surroundings.
    """
    boxes = ndimage.find_objects(mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8))
    if not boxes:
        return None
    box = boxes[0]
    own = mask[box]

    def host(names) -> str | None:
        if context is None:
            return None
        corner = np.array([side.start - MARGIN for side in box])
        outer = ijk_to_ras.copy()
        outer[:3, 3] = ijk_to_ras[:3, :3] @ corner[::-1] + ijk_to_ras[:3, 3]
        around = context.seen_from(outer, tuple(size + 2 * MARGIN for size in own.shape))
        return host_of(own, tuple(slice(MARGIN, MARGIN + size) for size in own.shape), around, names)

    return segment_of(name, label, own, box, image, ijk_to_ras, host,
                      lambda: None if context is None else context.middle)


def ratio_with(label: Label, mask: np.ndarray, ijk_to_ras: np.ndarray, context: Context) -> float | None:
    """The cardiothoracic ratio after an edit of the heart or a lobe; None for others and where it is not to be had."""
    if label.name not in (*LOBES, "heart"):
        return None
    labels = context.with_mask(label, mask, ijk_to_ras)
    if labels is None or not (labels == label_named("heart").id).any():
        return None
    return seen_cardiothoracic_ratio(labels, context.ijk_to_ras)


def count_parts(mask: np.ndarray) -> int:
    """Connected parts of a mask."""
    return ndimage.label(mask, CONNECTED)[1]
