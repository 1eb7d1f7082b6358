"""The canvas of a phantom: a voxel grid, the smooth map from it to the atlas torso, and soft painting.

Atlas coordinates are millimetres in a canonical adult torso: x to the patient's left, y to posterior, z to superior;
x = 0 is the midline, z = 0 the centre of the tenth thoracic vertebra. Arrays are (Z, Y, X) with axes LPS-like
(z rises to superior, y to posterior, x to the left).
"""

from __future__ import annotations

import numpy as np

Box = tuple[slice, slice, slice]


def _double(coarse: np.ndarray, axis: int, size: int) -> np.ndarray:
    """Linear interpolation by a factor of two along one axis, cut to `size` samples."""
    moved = np.moveaxis(coarse, axis, 0)
    out = np.empty((2 * moved.shape[0] - 1, *moved.shape[1:]), np.float32)
    out[::2] = moved
    np.add(moved[:-1], moved[1:], out=out[1::2])
    out[1::2] *= 0.5
    return np.moveaxis(out[:size], 0, axis)


def _spline_weights(positions: np.ndarray, knots: int) -> np.ndarray:
    """Cubic B-spline weights (len(positions), knots) for positions in units of the knot distance."""
    distance = np.abs(positions[:, None] + 1.0 - np.arange(knots)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = np.clip(2 - distance, 0, None) ** 3 / 6
    return np.where(distance < 1, near, far).astype(np.float32)


class Frame:
    """Grid, atlas coordinates of every voxel, and the images that are painted on it.

    Args:
        shape: (Z, Y, X) voxels.
        spacing: (z, y, x) in mm.
        centre: atlas point (x, y, z) at the centre of the grid.
        rotation: 3x3 rotation of the patient on the table, (x, y, z) order.
        scale: body size (x, y, z) relative to the atlas.
        rng: source of the random deformation.
        warp_mm: standard deviation of the smooth random displacement in mm.
        bend: (kyphosis, scoliosis) in mm of displacement at the ends of the torso.
    """

    def __init__(self, shape, spacing, centre, rotation, scale, rng, warp_mm=3.0, bend=(0.0, 0.0)):
        self.shape = tuple(int(n) for n in shape)
        self.spacing = np.asarray(spacing, np.float64)
        self.centre = np.asarray(centre, np.float64)
        self.forward = np.diag(1.0 / np.asarray(scale, np.float64)) @ np.asarray(rotation, np.float64).T
        self.backward = np.linalg.inv(self.forward)
        self.voxel = float(np.mean(self.spacing))
        self._coarse = [np.arange((n + 1) // 2 + 1) * 2 for n in self.shape]
        self._world = [((index - (n - 1) / 2) * s).astype(np.float32)
                       for index, n, s in zip(self._coarse, self.shape, self.spacing, strict=True)]
        self._map_coarse(rng, warp_mm, bend)
        self.x, self.y, self.z = (self.refine(part) for part in (self.xc, self.yc, self.zc))
        self.hu = np.full(self.shape, -1000.0, np.float32)
        self.labels = np.zeros(self.shape, np.uint8)

    def _map_coarse(self, rng, warp_mm, bend) -> None:
        wz, wy, wx = self._world
        f, c = self.forward, self.centre
        base = [f[r, 2] * wz[:, None, None] + f[r, 1] * wy[None, :, None] + f[r, 0] * wx[None, None, :] + c[r]
                for r in range(3)]
        z = base[2]
        kyphosis, scoliosis = bend
        shift = [warp_mm * self.random_coarse(rng, 75.0) for _ in range(3)]
        shift[0] = shift[0] + scoliosis * np.sin(z / 105.0)
        shift[1] = shift[1] + kyphosis * (((z - 40.0) / 150.0) ** 2 - 0.4)
        limit = 16.0
        self.shift = [np.clip(s, -limit, limit).astype(np.float32) for s in shift]
        self.margin = max(float(np.abs(s).max()) for s in self.shift) + 2.0
        self.xc, self.yc, self.zc = ((b + s).astype(np.float32) for b, s in zip(base, self.shift, strict=True))

    def random_coarse(self, rng: np.random.Generator, knot_mm: float) -> np.ndarray:
        """Smooth random field of about unit variance on the half-resolution grid."""
        weights = []
        for axis in range(3):
            positions = (self._world[axis] - self._world[axis][0]) / knot_mm
            weights.append(_spline_weights(positions, int(np.ceil(positions[-1])) + 4))
        field = rng.standard_normal([w.shape[1] for w in weights], dtype=np.float32)
        field = field @ weights[2].T
        field = np.matmul(weights[1], field)
        return np.tensordot(weights[0], field, axes=(1, 0)) / np.float32(0.33)

    def refine(self, coarse: np.ndarray) -> np.ndarray:
        """Half-resolution field to the full grid, linear."""
        for axis in range(3):
            coarse = _double(coarse, axis, self.shape[axis])
        return np.ascontiguousarray(coarse)

    def random_field(self, rng: np.random.Generator, knot_mm: float) -> np.ndarray:
        """Smooth random field of about unit variance on the full grid."""
        return self.refine(self.random_coarse(rng, knot_mm))

    def to_world(self, points: np.ndarray) -> np.ndarray:
        """Atlas points (N, 3) in (x, y, z) to mm from the grid centre, (x, y, z), LPS."""
        points = np.asarray(points, np.float64).reshape(-1, 3)
        world = (points - self.centre) @ self.backward.T
        for _ in range(3):
            index = [np.clip(np.rint((world[:, 2 - a] - self._world[a][0]) / (2 * self.spacing[a])), 0,
                             len(self._world[a]) - 1).astype(int) for a in range(3)]
            shift = np.stack([s[tuple(index)] for s in self.shift], 1)
            world = (points - self.centre - shift) @ self.backward.T
        return world

    def to_index(self, points: np.ndarray) -> np.ndarray:
        """Atlas points (N, 3) in (x, y, z) to voxel coordinates (N, 3) in (z, y, x)."""
        world = self.to_world(points)[:, ::-1]
        return world / self.spacing + (np.asarray(self.shape) - 1) / 2

    def box(self, low, high) -> Box | None:
        """Slices that surely hold the atlas box from `low` to `high` (x, y, z); None if it is outside the grid."""
        low, high = np.asarray(low, np.float64) - self.centre, np.asarray(high, np.float64) - self.centre
        middle, half = self.backward @ ((low + high) / 2), np.abs(self.backward) @ ((high - low) / 2 + self.margin)
        slices = []
        for axis in range(3):
            n, s = self.shape[axis], self.spacing[axis]
            start = int(np.floor((middle[2 - axis] - half[2 - axis]) / s + (n - 1) / 2))
            stop = int(np.ceil((middle[2 - axis] + half[2 - axis]) / s + (n - 1) / 2)) + 1
            start, stop = max(start, 0), min(stop, n)
            if stop <= start:
                return None
            slices.append(slice(start, stop))
        return tuple(slices)

    def at(self, box: Box) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Atlas coordinates x, y, z of the voxels of a box."""
        return self.x[box], self.y[box], self.z[box]

    def occupancy(self, distance: np.ndarray) -> np.ndarray:
        """Part of each voxel that is inside a surface, from its signed distance in mm (negative inside)."""
        occupancy = distance * np.float32(-1.0 / self.voxel)
        occupancy += np.float32(0.5)
        return np.clip(occupancy, 0, 1, out=occupancy)

    def paint(self, box: Box | None, distance, value, label: int | None = None) -> np.ndarray | None:
        """Blend `value` (HU, number or array) into the box where the signed distance is negative.

        `label` is written where more than half of the voxel is covered; None leaves the label map alone.
        Returns the occupancy.
        """
        if box is None:
            return None
        occupancy = self.occupancy(np.asarray(distance, np.float32))
        self.blend(box, occupancy, value, label)
        return occupancy

    def blend(self, box: Box, occupancy: np.ndarray, value, label: int | None = None) -> None:
        """The same with an occupancy 0..1."""
        view = self.hu[box]
        view += occupancy * (value - view)
        if label is not None:
            self.labels[box][occupancy > 0.5] = label
