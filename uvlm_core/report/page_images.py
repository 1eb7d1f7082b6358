"""The reduced copies of scan and masks inside the page: 8 bit, about 2 mm, turned so that every scan looks alike."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uvlm_core.volumes.orientation import orientation_of

# [code, HU]: half of the 256 codes for soft tissue (3 HU apart), the rest for lung and bone
KNOTS = ((0, -1024.0), (60, -200.0), (200, 220.0), (255, 1500.0))
MOST_PER_AXIS = 260
MOST_VOXELS = 10_000_000
FINEST_MM = 1.2  # finer than this shows nothing more on a screen
BODY_HU = -400


@dataclass(frozen=True)
class PageImages:
    """`codes` and `labels` (Z, Y, X) uint8, z to superior, y to posterior, x to patient left.

    `ijk_to_ras` 4x4 maps (x, y, z, 1) of these arrays to RAS mm; `spacing` (z, y, x) mm.
    """

    codes: np.ndarray
    labels: np.ndarray
    ijk_to_ras: np.ndarray

    @property
    def spacing(self) -> tuple[float, float, float]:
        x, y, z = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(z), float(y), float(x)


def reduce_images(hu: np.ndarray, labels: np.ndarray, ijk_to_ras: np.ndarray,
                  lesions: Sequence[int] = ()) -> PageImages:
    """Scan and label map cut to the body, turned and averaged over blocks of whole voxels.

    Args:
        hu: (Z, Y, X) HU.
        labels: (Z, Y, X) uint8 of the same grid.
        ijk_to_ras: 4x4 of both.
        lesions: labels that survive in a block even where they fill only a part of it.
    """
    orientation = orientation_of(np.asarray(ijk_to_ras, float))
    matrix = orientation.matrix(np.asarray(ijk_to_ras, float), hu.shape)
    hu, labels = orientation.turn(hu), orientation.turn(labels)
    box = _body_box(hu, labels)
    factors = _factors([side.stop - side.start for side in box], np.linalg.norm(matrix[:3, :3], axis=0)[::-1])
    starts = [side.start for side in box]
    codes = _to_codes(_block_mean(hu[box], factors))
    small = _block_labels(labels[box], factors, lesions)
    to_turned = np.diag([*map(float, factors[::-1]), 1.0])
    to_turned[:3, 3] = [start + (factor - 1) / 2 for start, factor in zip(starts[::-1], factors[::-1], strict=True)]
    return PageImages(codes, small, matrix @ to_turned)


def _body_box(hu: np.ndarray, labels: np.ndarray, stride: int = 4, margin: int = 6) -> tuple[slice, ...]:
    """Where there is tissue or a mask; all slices along z. Looks at every fourth voxel only."""
    rough = (hu[::stride, ::stride, ::stride] > BODY_HU) | (labels[::stride, ::stride, ::stride] > 0)
    box = [slice(0, hu.shape[0])]
    for axis in (1, 2):
        share = rough.mean(axis=(0, 3 - axis))
        found = np.flatnonzero(share > 0.01)
        low, high = (found[0], found[-1] + 1) if len(found) else (0, hu.shape[axis])
        box.append(slice(max(0, low * stride - margin), min(hu.shape[axis], high * stride + margin)))
    return tuple(box)


def _factors(shape: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """Whole voxels per block along each axis: the finest that keeps within MOST_PER_AXIS and MOST_VOXELS."""
    factors = [max(1, -(-size // MOST_PER_AXIS), int(FINEST_MM / step + 0.1)) for size, step in
               zip(shape, spacing, strict=True)]
    while np.prod([size // factor for size, factor in zip(shape, factors, strict=True)]) > MOST_VOXELS:
        finest = min(factor * step for factor, step in zip(factors, spacing, strict=True))
        for axis in range(3):  # axes of one spacing, as in every slice, keep one factor
            factors[axis] += factors[axis] * spacing[axis] < 1.01 * finest
    return [min(factor, size) for factor, size in zip(factors, shape, strict=True)]


def _blocks(array: np.ndarray, factors: Sequence[int]):
    """The factor^3 strided views whose voxels make up each block; a rest at the upper end is left out."""
    counts = [size // factor for size, factor in zip(array.shape, factors, strict=True)]
    for z in range(factors[0]):
        for y in range(factors[1]):
            for x in range(factors[2]):
                yield array[tuple(slice(first, first + (count - 1) * factor + 1, factor)
                                  for first, count, factor in zip((z, y, x), counts, factors, strict=True))]


def _block_mean(hu: np.ndarray, factors: Sequence[int]) -> np.ndarray:
    total = None
    for part in _blocks(hu, factors):
        part = np.clip(part, KNOTS[0][1], 3000).astype(np.float32)
        total = part if total is None else np.add(total, part, out=total)
    return total / np.float32(np.prod(factors))


def _to_codes(hu: np.ndarray) -> np.ndarray:
    """HU -> uint8 along KNOTS, through a table of whole HU, because interpolating every voxel takes seconds."""
    low, high = int(KNOTS[0][1]), int(KNOTS[-1][1])
    table = np.interp(np.arange(low, high + 1), [hu for _, hu in KNOTS], [code for code, _ in KNOTS])
    table = np.rint(table).astype(np.uint8)
    return table[(np.clip(hu, low, high) - low + 0.5).astype(np.int32)]


def _block_labels(labels: np.ndarray, factors: Sequence[int], lesions: Sequence[int]) -> np.ndarray:
    """The label at each block's centre, but a lesion wherever it fills a quarter of the block."""
    from scipy.ndimage import find_objects

    counts = [size // factor for size, factor in zip(labels.shape, factors, strict=True)]
    whole = tuple(slice(0, count * factor) for count, factor in zip(counts, factors, strict=True))
    out = labels[whole][tuple(slice(factor // 2, None, factor) for factor in factors)].copy()
    needed = max(1, int(np.prod(factors)) // 4)
    boxes = find_objects(labels[whole], max_label=max(lesions, default=0))
    for label in lesions:
        if boxes[label - 1] is None:
            continue
        blocks = tuple(slice(side.start // factor, -(-side.stop // factor))
                       for side, factor in zip(boxes[label - 1], factors, strict=True))
        voxels = tuple(slice(side.start * factor, side.stop * factor)
                       for side, factor in zip(blocks, factors, strict=True))
        share = sum((part == label).astype(np.uint16) for part in _blocks(labels[voxels], factors))
        out[blocks][share >= needed] = label
    return out


def pack(array: np.ndarray, differences: bool = False) -> str:
    """(Z, Y, X) uint8 -> base64 of a zlib stream; differences along x pack grey values better."""
    if differences:
        array = np.concatenate([array[..., :1], np.diff(array, axis=-1)], axis=-1)  # uint8 wraps around, as intended
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).data, 6)).decode("ascii")
