"""An image with its label map while findings are put into it, a phantom's or a real scan's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from uvlm_core.labels import label_named

Box = tuple[slice, slice, slice]
LEFT_LUNG = ("lung_upper_lobe_left", "lung_lower_lobe_left")
RIGHT_LUNG = ("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right")
LUNGS = LEFT_LUNG + RIGHT_LUNG


def bounding_box(mask: np.ndarray) -> Box | None:
    """The box of all True voxels; None where there is none."""
    box = []
    for axis in range(3):
        used = np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis})))
        if len(used) == 0:
            return None
        box.append(slice(int(used[0]), int(used[-1]) + 1))
    return tuple(box)


@dataclass
class Scene:
    """`hu` (Z, Y, X) float32 and `labels` uint8 are changed in place; `spacing` (z, y, x) mm.

    Axes are LPS-like: z rises to superior, y to posterior, x to the patient's left.
    """

    hu: np.ndarray
    labels: np.ndarray
    spacing: tuple[float, float, float]
    rng: np.random.Generator

    def mask(self, *names: str) -> np.ndarray:
        """(Z, Y, X) bool: voxels of any of these labels."""
        table = np.zeros(256, bool)
        table[[label_named(name).id for name in names]] = True
        return table[self.labels]

    def volume_ml(self, *names: str) -> float:
        """Volume of these labels together."""
        return float(self.mask(*names).sum() * np.prod(self.spacing) / 1000)

    def median(self, default: float, *names: str) -> float:
        """Median HU of these labels, `default` where there is none."""
        values = self.hu[self.mask(*names)]
        return float(np.median(values)) if len(values) else default

    def point_in(self, mask: np.ndarray, depth_mm: float = 0.0) -> np.ndarray | None:
        """A random voxel (z, y, x) of the mask at least `depth_mm` from its border; None where there is none."""
        box = bounding_box(mask)
        if box is None:
            return None
        inner = mask[box]
        if depth_mm:  # on every second voxel: deep enough is all that is asked
            coarse = np.pad(inner[::2, ::2, ::2], 1)
            depth = ndimage.distance_transform_edt(coarse, [2 * step for step in self.spacing])
            inner = depth[1:-1, 1:-1, 1:-1] >= depth_mm
        index = np.argwhere(inner) * (2 if depth_mm else 1)
        if len(index) == 0:
            return None
        return index[self.rng.integers(len(index))] + [side.start for side in box]

    def around(self, centre: np.ndarray, reach_mm: float) -> Box:
        """The box of all voxels within `reach_mm` of a voxel."""
        steps = np.ceil(reach_mm / np.asarray(self.spacing)).astype(int) + 1
        return tuple(slice(max(0, int(c - s)), min(n, int(c + s) + 1))
                     for c, s, n in zip(centre, steps, self.hu.shape, strict=True))

    def offsets(self, box: Box, centre: np.ndarray) -> list[np.ndarray]:
        """mm from `centre` along z, y, x for the voxels of a box, as three broadcastable arrays."""
        return [((np.arange(side.start, side.stop) - c) * step).astype(np.float32).reshape(
                    [-1 if axis == other else 1 for other in range(3)])
                for axis, (side, c, step) in enumerate(zip(box, centre, self.spacing, strict=True))]

    def noise(self, box: Box, scale_mm: float) -> np.ndarray:
        """Smooth random field of unit variance on a box, structures of about `scale_mm`."""
        shape = [side.stop - side.start for side in box]
        coarse = [max(2, int(np.ceil(n * step / scale_mm)) + 2) for n, step in zip(shape, self.spacing, strict=True)]
        field = self.rng.standard_normal(coarse).astype(np.float32)
        zoom = [n / c for n, c in zip(shape, coarse, strict=True)]
        fine = ndimage.zoom(field, zoom, order=1, grid_mode=True, mode="nearest")
        return fine[: shape[0], : shape[1], : shape[2]] * 1.4

    def blob(self, centre: np.ndarray, radii_mm, roughness: float = 0.15) -> tuple[Box, np.ndarray]:
        """Box and occupancy 0..1 of an ellipsoid turned at random, its surface uneven by `roughness` of its radius."""
        radii = np.broadcast_to(np.asarray(radii_mm, float), (3,))
        box = self.around(centre, radii.max() * (1 + 2 * roughness) + max(self.spacing))
        turned, _ = np.linalg.qr(self.rng.standard_normal((3, 3)))
        z, y, x = self.offsets(box, centre)
        scaled = sum(((row[0] * z + row[1] * y + row[2] * x) / radius) ** 2
                     for row, radius in zip(turned, radii, strict=True))
        distance = (np.sqrt(scaled) - 1 + roughness * self.noise(box, max(6.0, radii.mean()))) * radii.mean()
        return box, self.occupancy(distance)

    def occupancy(self, distance_mm: np.ndarray) -> np.ndarray:
        """Share of each voxel inside a surface, from its signed distance (negative inside)."""
        return np.clip(0.5 - distance_mm / float(np.mean(self.spacing)), 0, 1).astype(np.float32)

    def paint(self, box: Box, occupancy: np.ndarray, value, label: str, where: np.ndarray | None = None) -> int:
        """Blends `value` (HU) in by its occupancy, within `where`; writes the label above one half; voxels written."""
        occupancy = occupancy if where is None else occupancy * where
        view = self.hu[box]
        view += occupancy * (value - view)
        written = occupancy > 0.5
        self.labels[box][written] = label_named(label).id
        return int(written.sum())
