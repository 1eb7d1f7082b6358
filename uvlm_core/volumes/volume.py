"""A CT volume: HU values with their place in the patient."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uvlm_core.errors import VolumeError


@dataclass(frozen=True)
class Volume:
    """`array` (Z, Y, X) in HU, int16 or float32; `ijk_to_ras` 4x4 maps (i, j, k, 1) to RAS mm: i along X, k along Z."""

    array: np.ndarray
    ijk_to_ras: np.ndarray
    name: str = ""
    meta: dict = field(default_factory=dict)

    def __post_init__(self):
        matrix = np.asarray(self.ijk_to_ras, dtype=np.float64)
        object.__setattr__(self, "ijk_to_ras", matrix)
        if self.array.ndim != 3:
            raise VolumeError(f"A volume has 3 dimensions (z, y, x); found {self.array.ndim}. Choose one frame first.")
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise VolumeError("The volume's geometry must be a 4x4 matrix of finite numbers; export the scan again.")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-9:
            raise VolumeError("The volume's voxels have no size along some axis (its matrix has no inverse); "
                              "the file's spacing or orientation is damaged. Export the scan again.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(Z, Y, X) voxels."""
        return self.array.shape

    @property
    def spacing(self) -> tuple[float, float, float]:
        """(z, y, x) mm between voxel centres."""
        x, y, z = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
        return float(z), float(y), float(x)

    @property
    def ras_to_ijk(self) -> np.ndarray:
        """4x4 from RAS mm to voxel indices (i, j, k)."""
        return np.linalg.inv(self.ijk_to_ras)

    @property
    def voxel_volume_ml(self) -> float:
        """Millilitres of one voxel, right for sheared grids too."""
        return float(abs(np.linalg.det(self.ijk_to_ras[:3, :3])) / 1000)
