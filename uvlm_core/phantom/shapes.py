"""Signed distances (mm, negative inside) of the shapes that organs are made of, in atlas coordinates."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from uvlm_core.phantom.frame import Box, Frame


def rotation_matrix(roll: float, tilt: float, yaw: float) -> np.ndarray:
    """Rotation about the z (roll), x (tilt) and y (yaw) axis, degrees, for (x, y, z) vectors."""
    a, b, c = np.deg2rad([roll, tilt, yaw])
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    about_y = np.array([[np.cos(c), 0, np.sin(c)], [0, 1, 0], [-np.sin(c), 0, np.cos(c)]])
    return about_z @ about_x @ about_y


def squircle(x, y, half_width, front, back, squareness: float):
    """Radial distance to a rounded rectangle between `front` and `back` (y) and +-half_width (x)."""
    centre, half = (front + back) / 2, (back - front) / 2
    dy = y - centre
    u, v = (x / half_width) ** 2, (dy / half) ** 2
    total = u + v
    radius = np.sqrt((total + np.sqrt(np.maximum(total**2 - 4 * squareness * u * v, 0))) / 2)
    return np.sqrt(x**2 + dy**2) * (1 - 1 / np.maximum(radius, 0.02))


def ellipsoid(x, y, z, centre, semi, axes: np.ndarray | None = None):
    """Distance to an ellipsoid; rows of `axes` (3x3) are its axis directions in (x, y, z)."""
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    if axes is not None:
        a = np.asarray(axes, np.float32)
        dx, dy, dz = (a[r, 0] * dx + a[r, 1] * dy + a[r, 2] * dz for r in range(3))
    s = np.asarray(semi, np.float32)
    scaled = np.sqrt((dx / s[0]) ** 2 + (dy / s[1]) ** 2 + (dz / s[2]) ** 2)
    return (scaled - 1) * np.float32(s.min() * 0.5 + s.mean() * 0.5)


def ellipsoid_box(frame: Frame, centre, semi, extra: float = 6.0) -> Box | None:
    """Box around an ellipsoid of any orientation."""
    reach = np.max(semi) + extra
    return frame.box(np.asarray(centre) - reach, np.asarray(centre) + reach)


def smooth_min(a, b, width: float):
    """Smooth union of two distances over about `width` mm."""
    h = np.maximum(width - np.abs(a - b), 0) / width
    return np.minimum(a, b) - h * h * (width / 4)


def axes_along(direction) -> np.ndarray:
    """Three orthonormal rows, the first along `direction`."""
    first = np.asarray(direction, np.float64)
    first = first / np.linalg.norm(first)
    helper = np.array([0.0, 0.0, 1.0]) if abs(first[2]) < 0.9 else np.array([1.0, 0.0, 0.0])
    second = np.cross(first, helper)
    second /= np.linalg.norm(second)
    return np.stack([first, second, np.cross(first, second)])


def spline(points, steps: int = 3) -> np.ndarray:
    """Catmull-Rom curve through points (N, C), `steps` pieces between neighbours."""
    p = np.asarray(points, np.float64)
    padded = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c, d = (padded[i:len(p) - 1 + i, None] for i in range(4))
    curve = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([curve.reshape(-1, p.shape[1]), p[-1:]])


def tube(frame: Frame, path, steps: int = 3, extra: float = 5.0) -> tuple[Box, np.ndarray] | None:
    """Box and distance of a tube along a path of rows (x, y, z, radius); None if it is outside the grid."""
    curve = spline(path, steps)
    reach = curve[:, 3].max() + extra
    box = frame.box(curve[:, :3].min(0) - reach, curve[:, :3].max(0) + reach)
    if box is None:
        return None
    distance = np.full([s.stop - s.start for s in box], 50.0, np.float32)
    for a, b in pairwise(curve):
        reach = max(a[3], b[3]) + extra
        part = frame.box(np.minimum(a, b)[:3] - reach, np.maximum(a, b)[:3] + reach)
        if part is None:
            continue
        inner = tuple(slice(p.start - o.start, p.stop - o.start) for p, o in zip(part, box, strict=True))
        np.minimum(distance[inner], _segment(*frame.at(part), a, b), out=distance[inner])
    return box, distance


def _segment(x, y, z, a, b):
    """Distance to a cone from row a to row b, both (x, y, z, radius)."""
    a, b = a.astype(np.float32), b.astype(np.float32)
    along = b[:3] - a[:3]
    dx, dy, dz = x - a[0], y - a[1], z - a[2]
    t = (dx * along[0] + dy * along[1] + dz * along[2]) / max(float(along @ along), 1e-6)
    np.clip(t, 0, 1, out=t)
    square = (dx - t * along[0]) ** 2 + (dy - t * along[1]) ** 2 + (dz - t * along[2]) ** 2
    return np.sqrt(square) - (a[3] + t * (b[3] - a[3]))
