"""Augmentation in physical terms: millimetres for shape, HU for intensity. It never makes a text or label false."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from uvlm_core.labels import IGNORE, labels


def mirror_table() -> np.ndarray:
    """(256,) uint8: label id -> label id of the other side; ids without a side map to themselves.

    A lobe without a counterpart (the right middle lobe) becomes part of the other side's upper lobe, and the
    other side's upper lobe takes the upper lobe's place: no mask ends on a side that its name denies.
    """
    table = np.arange(256, dtype=np.uint8)
    by_name = {label.name: label.id for label in labels()}
    for name, number in by_name.items():
        if name.endswith("_left") and name.removesuffix("_left") + "_right" in by_name:
            other = by_name[name.removesuffix("_left") + "_right"]
            table[number], table[other] = other, number
    table[by_name["lung_middle_lobe_right"]] = by_name["lung_upper_lobe_left"]
    return table


def mirror(image: np.ndarray, target: np.ndarray, report: str) -> tuple[np.ndarray, np.ndarray, str]:
    """Left-right flip of image, masks and words together.

    Args:
        image, target: (Z, Y, X), x runs from the patient's right to left.
    """
    from uvlm_core.phantom.sides import swap_sides

    return image[..., ::-1].copy(), mirror_table()[target[..., ::-1]], swap_sides(report)


def random_patch(
    image: np.ndarray, target: np.ndarray, size: tuple[int, int, int], start: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """A rotated, scaled and slightly warped patch.

    Args:
        image: (Z, Y, X) HU; outside of it is air (-1000 HU).
        target: (Z, Y, X) uint8; outside of it is background.
        size: (Z, Y, X) voxels of the patch.
        start: (3,) voxel index of the patch's first corner, may be negative.
        rng: the only source of randomness.

    Returns:
        image (size) float32 HU, target (size) uint8.
    """
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in size]
    points = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1) @ _random_matrix(rng).T
    points += _random_warp(size, rng)
    centre = torch.tensor(start, dtype=torch.float32) + (torch.tensor(size, dtype=torch.float32) - 1) / 2
    points += centre
    extent = torch.tensor(image.shape, dtype=torch.float32) - 1
    # grid_sample wants x, y, z in -1..1
    grid = (points / extent * 2 - 1).flip(-1)[None]
    moved = functional.grid_sample(
        torch.from_numpy(image.astype(np.float32))[None, None] + 1000, grid, align_corners=True
    )[0, 0] - 1000
    labelled = functional.grid_sample(
        torch.from_numpy(target.astype(np.float32))[None, None], grid, mode="nearest", align_corners=True
    )[0, 0]
    return moved.numpy(), labelled.numpy().astype(np.uint8)


def _random_matrix(rng: np.random.Generator) -> torch.Tensor:
    """Rotation up to about 12 degrees and scale 0.8 to 1.25, different per axis by up to 10 %."""
    z, y, x = rng.normal(0, 0.09, 3).clip(-0.21, 0.21)
    about_z = np.array([[1, 0, 0], [0, np.cos(z), -np.sin(z)], [0, np.sin(z), np.cos(z)]])
    about_y = np.array([[np.cos(y), 0, -np.sin(y)], [0, 1, 0], [np.sin(y), 0, np.cos(y)]])
    about_x = np.array([[np.cos(x), -np.sin(x), 0], [np.sin(x), np.cos(x), 0], [0, 0, 1]])
    scale = np.exp(rng.uniform(-0.22, 0.22)) * np.exp(rng.uniform(-0.1, 0.1, 3))
    return torch.tensor(about_z @ about_y @ about_x @ np.diag(scale), dtype=torch.float32)


def _random_warp(size: tuple[int, int, int], rng: np.random.Generator) -> torch.Tensor:
    """(Z, Y, X, 3) smooth displacement in voxels, up to about 4 voxels over a 4 x 5 x 5 control grid."""
    strength = rng.uniform(0, 2.0)
    control = torch.tensor(rng.normal(0, strength, (1, 3, 4, 5, 5)), dtype=torch.float32)
    return functional.interpolate(control, size=size, mode="trilinear", align_corners=True)[0].movedim(0, -1)


def random_intensity(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Scanner differences in HU: calibration, contrast of soft tissue, noise, sharpness, truncation.

    Air stays air and fat stays darker than muscle: the change of any tissue is a few tens of HU.
    """
    out = image.astype(np.float32)
    tissue = np.clip((out + 300) / 200, 0, 1)  # 0 in air and lung, 1 in soft tissue and bone
    if rng.random() < 0.7:  # enhancement: what is brighter than muscle gets more or less so
        gain = rng.uniform(0.7, 1.4)
        out = np.where(out > 50, 50 + (out - 50) * gain, out)
    out = out + tissue * rng.normal(0, 12) + (1 - tissue) * rng.normal(0, 20)
    if rng.random() < 0.3:
        out = _blurred(out, rng.uniform(0.3, 0.8))
    if rng.random() < 0.6:
        noise = rng.standard_normal(out.shape, dtype=np.float32) * abs(rng.normal(0, 18))
        out = out + (_blurred(noise, 0.6) * 2 if rng.random() < 0.5 else noise)
    if rng.random() < 0.1:  # a bright, slowly varying shade, as from arms beside the body
        ramp = np.linspace(-1, 1, out.shape[2], dtype=np.float32) * rng.normal(0, 15)
        out = out + ramp * tissue
    return np.clip(out, -1024, 3000)


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, sigma, truncate=2.5)


def crop_field_of_view(image: np.ndarray, target: np.ndarray, rng: np.random.Generator) -> None:
    """In place: sets a random border to air and its labels to IGNORE, as a narrow reconstruction does."""
    for axis in (1, 2):
        for end in (0, 1):
            if rng.random() < 0.5:
                depth = int(rng.uniform(0, 0.2) * image.shape[axis])
                where = [slice(None)] * 3
                where[axis] = slice(0, depth) if end == 0 else slice(image.shape[axis] - depth, None)
                image[tuple(where)], target[tuple(where)] = -1000, IGNORE
