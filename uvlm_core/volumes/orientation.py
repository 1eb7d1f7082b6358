"""Which array axis of a scan runs along which axis of the patient."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np

# directions of the model grid's axes in RAS: z to Superior, y to Posterior, x to Left
GRID_AXES = np.array([[0, 0, 1], [0, -1, 0], [-1, 0, 0]], dtype=float)


@dataclass(frozen=True)
class Orientation:
    """How a (Z, Y, X) array is turned so that its axes run as near as possible to S, P, L.

    `order[t]` is the array axis that becomes axis t; `flip[t]` says whether it is reversed;
    `angle` is the largest angle in degrees between a turned axis and its anatomical direction;
    `shear` is the largest deviation from a right angle in degrees.
    """

    order: tuple[int, int, int]
    flip: tuple[bool, bool, bool]
    angle: float
    shear: float

    def turn(self, array: np.ndarray) -> np.ndarray:
        """A view of (Z, Y, X) with its axes near S, P, L; writing into it writes into `array`."""
        turned = array.transpose(self.order)
        return turned[tuple(slice(None, None, -1) if flipped else slice(None) for flipped in self.flip)]

    def matrix(self, ijk_to_ras: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
        """4x4 of the turned array: (x, y, z) index of `turn(array)` to RAS mm."""
        out = np.eye(4)
        origin = ijk_to_ras[:3, 3].copy()
        for axis, (source, flipped) in enumerate(zip(self.order, self.flip, strict=True)):
            column = ijk_to_ras[:3, 2 - source]  # array axis 0 is k, the last column
            if flipped:
                origin = origin + column * (shape[source] - 1)
            out[:3, 2 - axis] = -column if flipped else column
        out[:3, 3] = origin
        return out


def orientation_of(ijk_to_ras: np.ndarray) -> Orientation:
    """The best of the 48 axis orders of a 4x4."""
    columns = ijk_to_ras[:3, [2, 1, 0]]
    unit = columns / np.linalg.norm(columns, axis=0)
    agreement = GRID_AXES @ unit  # (anatomical axis, array axis)
    order = max(permutations(range(3)), key=lambda p: sum(abs(agreement[t, a]) for t, a in enumerate(p)))
    chosen = np.array([agreement[t, a] for t, a in enumerate(order)])
    cosines = np.abs(unit.T @ unit)[np.triu_indices(3, 1)]
    return Orientation(
        order,
        tuple(bool(value < 0) for value in chosen),
        float(np.degrees(np.arccos(np.clip(np.abs(chosen).min(), 0, 1)))),
        float(np.degrees(np.arcsin(np.clip(cosines.max(), 0, 1)))),
    )
