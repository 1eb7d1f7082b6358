"""How much disk a store will need, from the headers of the scans, before anything is written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from uvlm_core.datasets.table import CaseTable
from uvlm_core.errors import UVLMError
from uvlm_core.volumes.grid import GridSpec

# share of the raw bytes that a typical scan and label map keep (zstd, bit shuffle); the air around a body is cut away
# before that: a grid holds about this share of a scan's own extent
PACKED_IMAGE, PACKED_TARGET, BODY = 0.55, 0.02, 0.75
LOOKED_AT = 200  # headers, evenly over the table
TYPICAL_MM = (320.0, 400.0, 400.0)  # where no header could be read


@dataclass(frozen=True)
class Estimate:
    """Bytes that a store will likely need and at most, bytes that are free where it will lie.

    `cases` are those counted; `there` were prepared before and need nothing.
    """

    likely: int
    most: int
    free: int
    cases: int
    there: int = 0

    @property
    def fits(self) -> bool:
        return not self.cases or self.likely < self.free

    def __str__(self) -> str:
        cases = f"{self.cases} cases need" if self.cases != 1 else "1 case needs"
        there = f" ({self.there} more are prepared)" if self.there else ""
        return (f"{cases} about {_size(self.likely)} (at most {_size(self.most)}){there}; "
                f"{_size(self.free)} are free")


def estimate(table: CaseTable, store: Path, spec: GridSpec, packed: bool) -> Estimate:
    """Looks at the headers of up to LOOKED_AT scans that the store does not have yet; nothing is written."""
    from uvlm_core.datasets.preparing import CASES, FACTS

    cases = [case for case in table.cases if not (Path(store) / CASES / case.case_id / FACTS).exists()]
    chosen = np.unique(np.linspace(0, len(cases) - 1, min(LOOKED_AT, len(cases))).astype(int))
    voxels = sum(_grid_voxels(_extent(table, cases[number]), spec) for number in chosen)
    voxels *= len(cases) / max(len(chosen), 1)
    image, target = (PACKED_IMAGE, PACKED_TARGET) if packed else (1.0, 1.0)
    likely = voxels * BODY * (2 * image + target)
    return Estimate(int(likely), int(voxels * 3), free_bytes(store), len(cases), len(table.cases) - len(cases))


def free_bytes(folder: Path) -> int:
    """Free bytes of the disk that a folder lies on, or will lie on."""
    folder = Path(folder).absolute()
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _extent(table: CaseTable, case) -> np.ndarray:
    """(z, y, x) mm of a scan by its header."""
    from uvlm_core.volumes.nifti import read_geometry

    path = table.path(case, case.image) if case.image else None
    if path is None or not path.name.endswith((".nii", ".nii.gz")):
        return np.array(TYPICAL_MM)
    try:
        shape, matrix = read_geometry(path)
    except (UVLMError, OSError):
        return np.array(TYPICAL_MM)
    spacing = np.linalg.norm(matrix[:3, :3], axis=0)[::-1]
    if case.spacing and np.allclose(spacing, 1):
        spacing = np.array(case.spacing)
    return spacing * shape


def _grid_voxels(extent: np.ndarray, spec: GridSpec) -> float:
    steps = extent / np.array(spec.spacing)
    sizes = np.ceil(steps / spec.multiple) * spec.multiple
    if spec.max_shape is not None:
        sizes = np.minimum(sizes, spec.max_shape)
    return float(np.prod(sizes))


def _size(count: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 1e3:.0f} kB"
