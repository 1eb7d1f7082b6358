"""From a scan to the model's grid and back, voxel for voxel.

The grid's axes are the scan's own, turned to the nearest of S, P, L, so an oblique scan keeps its obliqueness in the
grid's 4x4 and needs no rotation. Only sheared scans and scans turned by more than MOST_ANGLE are rotated.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from uvlm_core.labels import IGNORE
from uvlm_core.volumes.body import body_box
from uvlm_core.volumes.oblique import scores_by_rotation, straighten
from uvlm_core.volumes.orientation import Orientation, orientation_of
from uvlm_core.volumes.resampling import axis_weights, resample
from uvlm_core.volumes.volume import Volume

AIR = -1000.0
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
    turned = orientation.turn(volume.array)
    matrix = orientation.matrix(volume.ijk_to_ras, volume.shape)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)[::-1]
    start, step, shape = _layout(turned, spacing, spec)
    weights = _weights(turned.shape, shape, start, step)
    padded = bool(turned[:: max(1, len(turned) // 8)].min() < PADDING)
    hu = resample(turned, weights, prepare=lambda part: np.maximum(part, AIR - 24) if padded else part)
    inside = np.einsum("z,y,x->zyx", *(matrix.sum(1) > 0 for matrix in weights))
    if padded:
        inside &= resample(turned, weights, prepare=lambda part: part > PADDING) > 0.5
    hu[~inside] = AIR
    return GridSample(hu, _grid_matrix(matrix, start, step), inside, spec, orientation, start, step)


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


def _weights(source, shape, start, step):
    return tuple(axis_weights(n_in, n_out, first, by)
                 for n_in, n_out, first, by in zip(source, shape, start, step, strict=True))


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
        (Z, Y, X) uint8 of `sample`.
    """
    if sample.orientation is None:
        straight = straighten(Volume(labels, volume.ijk_to_ras), sample.spec.spacing, like=volume, nearest=True)
        turned = orientation_of(straight.ijk_to_ras).turn(straight.array)
    else:
        turned = sample.orientation.turn(labels)
    weights = _weights(turned.shape, sample.hu.shape, sample.start, sample.step)
    best = np.zeros(sample.hu.shape, np.float32)
    out = np.zeros(sample.hu.shape, np.uint8)
    for value in np.unique(labels):
        share = resample(turned, weights, prepare=lambda part, value=value: part == value)
        better = share > best + (1e-4 if value in (0, IGNORE) else -1e-4)
        out[better], best[better] = value, share[better]
    return out


def scores_to_scan(scores: np.ndarray, sample: GridSample, volume: Volume, slab: int = 24) -> np.ndarray:
    """Label map on the scan's own array: scores are interpolated linearly, the highest wins.

    A label is looked at only in the box where it wins on the grid, widened by one voxel.

    Args:
        scores: (C, Z, Y, X) probabilities on the grid, channel 0 background.

    Returns:
        (Z, Y, X) uint8, exactly the shape of `volume`; 0 outside the grid.
    """
    if sample.orientation is None:
        return scores_by_rotation(scores, sample.ijk_to_ras, volume)
    import torch

    tensor = torch.as_tensor(scores)
    out = np.zeros(volume.shape, np.uint8)
    turned = sample.orientation.turn(out)
    back = [axis_weights(n_grid, n_scan, -first / by, 1 / by) for n_grid, n_scan, first, by in
            zip(sample.hu.shape, turned.shape, sample.start, sample.step, strict=True)]
    boxes = _label_boxes(tensor.argmax(0).numpy(), len(tensor))
    for first in range(0, turned.shape[0], slab):
        turned[first : first + slab] = _slab_labels(tensor, boxes, [back[0][first : first + slab], *back[1:]])
    return out


def _label_boxes(winner: np.ndarray, count: int) -> dict[int, tuple[slice, slice, slice]]:
    from scipy.ndimage import find_objects

    boxes = find_objects(winner, max_label=count - 1)
    return {number + 1: tuple(slice(max(0, side.start - 1), side.stop + 1) for side in box)
            for number, box in enumerate(boxes) if box is not None}


def _slab_labels(scores, boxes, weights) -> np.ndarray:
    """(slab, Y, X) uint8 of the scan's turned array."""
    import torch

    along_z, along_y, along_x = (torch.from_numpy(matrix) for matrix in weights)
    labels = torch.zeros((len(along_z), len(along_y), len(along_x)), dtype=torch.uint8)
    if not along_z.any():
        return labels.numpy()
    best = _spread(scores[0], along_z, along_y, along_x)
    for label, box in boxes.items():
        parts = [matrix[:, side] for matrix, side in zip((along_z, along_y, along_x), box, strict=True)]
        touched = [torch.nonzero(part.sum(1) > 0).flatten() for part in parts]
        if any(len(rows) == 0 for rows in touched):
            continue
        region = tuple(slice(int(rows[0]), int(rows[-1]) + 1) for rows in touched)
        share = _spread(scores[label][box], *(part[side] for part, side in zip(parts, region, strict=True)))
        better = share > best[region]
        best[region] = torch.where(better, share, best[region])
        labels[region] = torch.where(better, torch.tensor(label, dtype=torch.uint8), labels[region])
    return labels.numpy()


def _spread(score, along_z, along_y, along_x):
    used = along_z.sum(0).nonzero().flatten()
    low, high = (int(used[0]), int(used[-1]) + 1) if len(used) else (0, 1)
    part = score[low:high].float()
    part = (along_z[:, low:high] @ part.flatten(1)).reshape(len(along_z), *part.shape[1:])
    return (along_y @ part) @ along_x.T


def grid_to_ras(sample: GridSample, points: np.ndarray) -> np.ndarray:
    """(n, 3) grid indices (z, y, x) -> (n, 3) RAS mm."""
    points = np.atleast_2d(np.asarray(points, dtype=float))
    return points[:, ::-1] @ sample.ijk_to_ras[:3, :3].T + sample.ijk_to_ras[:3, 3]
