"""From a scan to the model's grid and back, voxel for voxel.

The grid's axes are the scan's own, turned to the nearest of S, P, L, so an oblique scan keeps its obliqueness in the
grid's 4x4 and needs no rotation. Only sheared scans and scans turned by more than MOST_ANGLE are rotated.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from uvlm_core.errors import VolumeError
from uvlm_core.labels import IGNORE
from uvlm_core.volumes.body import body_box
from uvlm_core.volumes.oblique import scores_by_rotation, straighten
from uvlm_core.volumes.orientation import Orientation, orientation_of
from uvlm_core.volumes.resampling import axis_weights, resample
from uvlm_core.volumes.scan_labels import label_boxes, labels_from_scores
from uvlm_core.volumes.volume import Volume

AIR = -1000.0
LOWEST = -1024  # CT numbers below are filling or artefact
TIE = 1e-4
PADDING = -1500  # below this no tissue and no air: the scanner's filling outside its circular field of view
MOST_ANGLE = 25.0
MOST_SHEAR = 1.0


@dataclass(frozen=True)
class GridSpec:
    """The model's grid: `spacing` (z, y, x) mm, sizes a multiple of `multiple`, HU mapped through `hu_curve`.

    `hu_curve` lists (HU, network value), linear between, constant outside; `margin_mm` of air around the body;
    `max_shape` (z, y, x) cuts larger bodies around their centre.
    """

    spacing: tuple[float, float, float] = (3.0, 3.0, 3.0)
    multiple: int = 16
    hu_curve: tuple[tuple[float, float], ...] = ((-1000, -1.0), (-150, -0.4), (250, 0.6), (1300, 1.0))
    margin_mm: float = 9.0
    max_shape: tuple[int, int, int] | None = None

    def __post_init__(self):
        if len(self.spacing) != 3 or not all(0.1 <= step <= 50 for step in self.spacing):
            raise VolumeError(f"The spacing of a grid is three numbers from 0.1 to 50 mm; found {self.spacing}.")
        points = [point[0] for point in self.hu_curve if len(point) == 2]
        if len(points) < 2 or len(points) != len(self.hu_curve) or sorted(set(points)) != points:
            raise VolumeError("The HU curve of a grid is two or more pairs (HU, network value) with growing HU; found "
                              f"{self.hu_curve}.")
        if self.multiple < 1 or (self.max_shape is not None and min(self.max_shape) < self.multiple):
            raise VolumeError(f"The size of a grid is a multiple of at least 1 and at most max_shape; found multiple "
                              f"{self.multiple}, max_shape {self.max_shape}.")


@dataclass(frozen=True)
class GridSample:
    """A scan on the grid: `hu` (Z, Y, X) float32, z up, y to posterior, x to the patient's left.

    `ijk_to_ras` 4x4 of the grid; `inside` (Z, Y, X) True where the scan was imaged.
    """

    hu: np.ndarray
    ijk_to_ras: np.ndarray
    inside: np.ndarray
    spec: GridSpec
    orientation: Orientation | None = field(repr=False)  # None where the scan had to be rotated
    start: tuple[float, float, float] = field(repr=False)  # turned scan index of the first grid voxel
    step: tuple[float, float, float] = field(repr=False)  # turned scan voxels per grid voxel

    @cached_property
    def image(self) -> np.ndarray:
        """(Z, Y, X) float32 network values."""
        return apply_hu_curve(self.hu, self.spec.hu_curve)


def apply_hu_curve(hu: np.ndarray, curve) -> np.ndarray:
    """HU -> network values, float32 of the same shape."""
    points = np.asarray(curve, dtype=np.float32)
    return np.interp(hu, points[:, 0], points[:, 1]).astype(np.float32)


def to_grid(volume: Volume, spec: GridSpec) -> GridSample:
    """The body of a scan on the model's grid, anti-aliased; outside the scan is air and not `inside`."""
    orientation = orientation_of(volume.ijk_to_ras)
    if orientation.angle > MOST_ANGLE or orientation.shear > MOST_SHEAR:
        straight = straighten(volume, spec.spacing)
        sample = to_grid(straight, spec)
        return GridSample(sample.hu, sample.ijk_to_ras, sample.inside, spec, None, sample.start, sample.step)
    matrix = orientation.matrix(volume.ijk_to_ras, volume.shape)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)[::-1]
    turned = orientation.turn(volume.array)
    start, step, shape = _layout(turned, spacing, spec)
    empty = GridSample(np.empty(shape, np.float32), _grid_matrix(matrix, start, step), np.empty(0), spec, orientation,
                       start, step)
    # the array is resampled along its own axes and only the small result is turned
    native = resample(volume.array, _array_weights(orientation, volume.shape, empty),
                      lambda layer, plane: plane.copy_(layer).clamp_(min=LOWEST))
    hu, inside = np.ascontiguousarray(native.transpose(orientation.order)), _imaged(turned, shape, start, step)
    hu[~inside] = AIR
    return replace(empty, hu=hu, inside=inside)


def _imaged(turned: np.ndarray, shape, start, step) -> np.ndarray:
    """True where the scan voxel nearest to the grid voxel's centre exists and is no filling."""
    places = [np.rint(first + by * np.arange(size)).astype(int)
              for size, first, by in zip(shape, start, step, strict=True)]
    within = [(place >= 0) & (place < size) for place, size in zip(places, turned.shape, strict=True)]
    nearest = np.ix_(*(np.clip(place, 0, size - 1) for place, size in zip(places, turned.shape, strict=True)))
    return (turned[nearest] > PADDING) & within[0][:, None, None] & within[1][:, None] & within[2]


def _array_weights(orientation: Orientation, shape: tuple[int, int, int], sample: GridSample) -> list[np.ndarray]:
    """(grid voxels, scan voxels) per axis of the scan's own array."""
    weights = [np.empty(0)] * 3
    for axis, (source, flipped) in enumerate(zip(orientation.order, orientation.flip, strict=True)):
        matrix = axis_weights(shape[source], sample.hu.shape[axis], sample.start[axis], sample.step[axis])
        weights[source] = matrix[:, ::-1] if flipped else matrix
    return weights


def _layout(turned: np.ndarray, spacing: np.ndarray, spec: GridSpec):
    """First index, step and size of the grid in voxels of the turned scan."""
    box = body_box(turned, spacing)
    start, steps, shape = [], [], []
    for axis, (low, high) in enumerate(box):
        step = spec.spacing[axis] / spacing[axis]
        margin = spec.margin_mm / spacing[axis] if axis else 0.0
        low, high = max(-0.5, low - 0.5 - margin), min(turned.shape[axis] - 0.5, high + 0.5 + margin)
        size = int(np.ceil((high - low) / step / spec.multiple - 1e-6)) * spec.multiple
        size = max(spec.multiple, size)
        if spec.max_shape is not None:
            size = min(size, spec.max_shape[axis])
        start.append((low + high) / 2 - step * (size - 1) / 2)
        steps.append(step)
        shape.append(size)
    return tuple(map(float, start)), tuple(map(float, steps)), tuple(shape)


def _grid_matrix(matrix: np.ndarray, start, step) -> np.ndarray:
    """4x4 of the grid from the 4x4 of the turned scan."""
    to_turned = np.diag([step[2], step[1], step[0], 1.0])
    to_turned[:3, 3] = start[::-1]
    return matrix @ to_turned


def labels_to_grid(labels: np.ndarray, volume: Volume, sample: GridSample) -> np.ndarray:
    """Label map of the scan on the grid: in each voxel the label with the most weight, not the nearest one.

    Args:
        labels: (Z, Y, X) uint8 on the scan's array.

    Returns:
        (Z, Y, X) uint8 of `sample`; 0 outside the scan.
    """
    import torch
    from scipy.ndimage import find_objects

    if labels.shape != volume.shape:
        raise VolumeError(f"The label map has {labels.shape} voxels (z, y, x), its scan {volume.shape}; "
                          "they must agree.")
    if sample.orientation is None:
        straight = straighten(Volume(labels, volume.ijk_to_ras), sample.spec.spacing, like=volume, nearest=True)
        labels, orientation = straight.array, orientation_of(straight.ijk_to_ras)
    else:
        orientation = sample.orientation
    weights = _array_weights(orientation, labels.shape, sample)
    shape = tuple(len(matrix) for matrix in weights)
    out, best, total = np.zeros(shape, np.uint8), np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    for value, box in enumerate(find_objects(labels), start=1):
        if box is None:
            continue
        rows = [np.flatnonzero(matrix[:, side].any(1)) for matrix, side in zip(weights, box, strict=True)]
        if any(len(hit) == 0 for hit in rows):
            continue
        place = tuple(slice(int(hit[0]), int(hit[-1]) + 1) for hit in rows)
        inner = [matrix[hit, side] for matrix, hit, side in zip(weights, place, box, strict=True)]
        share = resample(labels[box], inner,
                         lambda layer, plane, value=value: torch.eq(layer, value, out=plane))
        total[place] += share
        # a tie between two structures goes to the later one, but not to "not known"
        better = share > best[place] + (TIE if value == IGNORE else -TIE)
        better &= share > 0
        out[place][better], best[place][better] = value, share[better]
    background = np.einsum("z,y,x->zyx", *(matrix.sum(1) for matrix in weights)) - total
    out[background > best + TIE] = 0
    return out.transpose(orientation.order)


def scores_to_scan(scores: np.ndarray, sample: GridSample, volume: Volume) -> np.ndarray:
    """Label map on the scan's own array: scores are interpolated linearly, the highest wins.

    A label is looked at only in the box where it wins on the grid, widened by one voxel.

    Args:
        scores: (C, Z, Y, X) probabilities or logits on the grid, float32 or float16, numpy or torch; channel 0 is
            background.

    Returns:
        (Z, Y, X) uint8, exactly the shape of `volume`; 0 outside the grid.
    """
    import torch

    scores = torch.as_tensor(scores)
    if tuple(scores.shape[1:]) != sample.hu.shape:
        raise ValueError(f"scores are {tuple(scores.shape[1:])}, the grid is {sample.hu.shape}")
    if sample.orientation is None:
        return scores_by_rotation(scores, label_boxes(scores), sample.ijk_to_ras, volume)
    order, flip = sample.orientation.order, sample.orientation.flip
    back = [order.index(axis) for axis in range(3)]  # turned axis of each axis of the scan's array
    return labels_from_scores(scores.permute(0, *(1 + axis for axis in back)), volume.shape,
                              [sample.start[axis] for axis in back], [sample.step[axis] for axis in back],
                              [flip[axis] for axis in back])


def grid_to_ras(sample: GridSample, points: np.ndarray) -> np.ndarray:
    """(n, 3) grid indices (z, y, x) -> (n, 3) RAS mm."""
    points = np.atleast_2d(np.asarray(points, dtype=float))
    return points[:, ::-1] @ sample.ijk_to_ras[:3, :3].T + sample.ijk_to_ras[:3, 3]
