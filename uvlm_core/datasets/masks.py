"""A case's label map and masks on its scan's grid, in UVLM's label ids, with what is not annotated marked as such."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from uvlm_core.datasets.mapping import IGNORED, Mapping
from uvlm_core.datasets.scan import BLOSC
from uvlm_core.datasets.table import Case, CaseTable
from uvlm_core.errors import CaseError
from uvlm_core.labels import IGNORE, REST, label_named, labels
from uvlm_core.volumes.volume import Volume

MOST_SHIFT = 1.0  # voxels that the corners of a mask's grid may lie beside those of its scan


@dataclass
class Target:
    """`map` (Z, Y, X) uint8: UVLM's labels, REST where none of the annotated ones is, IGNORE where nothing is known.

    `known`: names of the labels that are annotated completely; `volumes`: structure in the source's own name -> voxels;
    `unnamed`: values of the label map without a name; `shifted`: file -> largest distance of the corners in voxels.
    """

    map: np.ndarray
    known: list[str]
    volumes: dict[str, int] = field(default_factory=dict)
    unnamed: list[int] = field(default_factory=list)
    shifted: dict[str, float] = field(default_factory=dict)


def read_target(table: CaseTable, case: Case, volume: Volume, mapping: Mapping, same_voxels: bool = False) -> Target:
    """Label map of a case on the grid of `volume`; lesions lie over organs.

    Args:
        same_voxels: masks are taken voxel for voxel even where their header puts them elsewhere.

    Raises:
        CaseError: a mask has another shape or place (the latter unless `same_voxels`), or lacks the volume asked for.
        VolumeError: a file is missing or damaged.
    """
    target = paint(table, case, volume, mapping)
    if target.shifted and not same_voxels:
        name, by = max(target.shifted.items(), key=lambda entry: entry[1])
        raise CaseError(f"{name}: by its header it lies up to {by:.0f} voxels beside its scan. Check both files; if "
                        "their voxels belong together all the same, use --same-voxels.")
    return target


def paint(table: CaseTable, case: Case, volume: Volume, mapping: Mapping) -> Target:
    """`read_target` that only notes in `shifted` where a mask's header disagrees with its scan's."""
    known = mapping.annotated(case)
    complete = len(known) == len(labels())
    rest = 0 if complete else REST if case.has_masks else IGNORE
    target = Target(np.full(volume.shape, rest, np.uint8), known)
    if case.labels:
        _paint_map(target, _like(volume, table.path(case, case.labels), case.labels, target), case, mapping)
    for name, files in case.masks.items():
        ours = mapping.label(name, case.source)
        target.volumes.setdefault(name, 0)
        for file in files:
            mask = _like(volume, table.path(case, file), file, target) > 0
            target.volumes[name] += int(np.count_nonzero(mask))
            if ours:
                _paint_mask(target.map, mask, ours)
    return target


def _paint_map(target: Target, raw: np.ndarray, case: Case, mapping: Mapping) -> None:
    if raw.dtype.kind not in "iu" or raw.min() < 0:
        raise CaseError(f"{case.labels} holds values from {raw.min():g} to {raw.max():g}; a label map holds whole "
                        "numbers from 0 on. Check that it is not the scan itself.")
    counts = np.zeros(int(raw.max()) + 1, np.int64)
    for layer in raw:
        counts += np.bincount(layer.ravel(), minlength=len(counts))
    table = np.full(len(counts), target.map.flat[0], np.uint8)
    for value in np.flatnonzero(counts[1:]) + 1:
        name = case.label_names.get(int(value))
        ours = IGNORED if name is None else mapping.label(name, case.source)
        if name is None:
            target.unnamed.append(int(value))
        if ours:
            table[value] = IGNORE if ours == IGNORED else label_named(ours).id
    for value, name in case.label_names.items():
        count = int(counts[value]) if value < len(counts) else 0
        target.volumes[name] = target.volumes.get(name, 0) + count
    target.map[:] = table[raw]


def _paint_mask(labelled: np.ndarray, mask: np.ndarray, name: str) -> None:
    """A lesion is painted over an organ, never the other way round."""
    if name == IGNORED:
        labelled[mask] = IGNORE
        return
    label = label_named(name)
    if label.kind == "organ":
        lesion = np.zeros(256, bool)
        lesion[[other.id for other in labels() if other.kind == "lesion"]] = True
        mask = mask & ~lesion[labelled]
    labelled[mask] = label.id


def _like(volume: Volume, path: Path, name: str, target: Target) -> np.ndarray:
    """A mask file as (Z, Y, X) on the volume's grid; a wrong place is noted."""
    part = name.partition("#")[2]
    mask, matrix = _component(path, int(part), name) if part else _whole(path)
    if mask.shape != volume.shape:
        raise CaseError(f"{path.name} has {mask.shape} voxels (z, y, x), its scan {volume.shape}; they must agree. "
                        "Check that the mask belongs to this scan.")
    shift = None if matrix is None else grid_shift(matrix, volume)
    if shift is not None and shift > MOST_SHIFT:
        target.shifted[path.name] = round(shift, 1)
    return mask


def grid_shift(matrix: np.ndarray, volume: Volume) -> float:
    """Largest distance, in voxels of `volume`, between its corners and those of the same array under `matrix`."""
    corners = np.array(np.meshgrid(*([0, n - 1] for n in volume.shape[::-1]), [1], indexing="ij")).reshape(4, -1)
    distance = np.linalg.norm(((matrix - volume.ijk_to_ras) @ corners)[:3], axis=0)
    return float(distance.max() / min(volume.spacing))


def _whole(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    if path.name.endswith(BLOSC):
        from uvlm_core.datasets.storage import open_blosc

        array = open_blosc(path)
        array = array[0] if array.ndim == 4 and len(array) == 1 else array
        return np.ascontiguousarray(array.transpose(2, 1, 0)), None
    from uvlm_core.datasets.scan import is_blank
    from uvlm_core.volumes.reading import read_volume

    mask = read_volume(path)
    return mask.array, None if is_blank(mask) else mask.ijk_to_ras


def _component(path: Path, number: int, name: str) -> tuple[np.ndarray, None]:
    """Volume `number` of a mask (F, H, W, D); the affine of such a file counts F as an axis and says nothing."""
    stack = _stack(path)
    if not 0 <= number < len(stack):
        raise CaseError(f"{name}: {path.name} holds {len(stack)} findings, counted from 0; "
                        f"there is no number {number}.")
    return stack[number].transpose(2, 1, 0), None


@lru_cache(maxsize=1)
def _stack(path: Path) -> np.ndarray:
    """All volumes of a 4-D mask, (F, H, W, D) as stored."""
    import nibabel

    if not path.exists():
        raise CaseError(f"There is no file at {path}. Check the path.")
    try:
        array = np.asarray(nibabel.load(path).dataobj)
    except (OSError, EOFError, ValueError, nibabel.filebasedimages.ImageFileError) as error:
        raise CaseError(f"{path.name} cannot be read ({error}). Copy or download the file again.") from error
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4:
        raise CaseError(f"{path.name} has {array.ndim} dimensions; a mask of several findings has four (F, H, W, D).")
    return array
