"""A real scan with label maps of other data sets, brought to UVLM's label ids."""

from __future__ import annotations

import csv
import json
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import numpy as np

from uvlm_core.errors import CaseError
from uvlm_core.labels import REST, label_named, labels
from uvlm_core.resources import resource
from uvlm_core.volumes.reading import read_volume
from uvlm_core.volumes.volume import Volume


@cache
def load_real(source_text: str, root: Path) -> tuple[Volume, np.ndarray, list[str]]:
    """Reads the scan of a "real" data source (as JSON text, so that copies of one scan read it once).

    `labels` is a label map with `names` (CSV with structure and id, or JSON id -> name) in TotalSegmentator's names;
    `masks` maps our label names to 0/1 masks that are painted over it; `known` names what is annotated (default: all).

    Returns:
        volume, labels (Z, Y, X) uint8 in our ids, names of the annotated labels. Where only some labels are
        annotated, every other voxel is REST.

    Raises:
        CaseError: a file is missing or a mask has another shape than the scan.
    """
    source = json.loads(source_text)
    volume = read_volume(_existing(root, source["image"]))
    known = source.get("known", [label.name for label in labels()])
    background = 0 if "known" not in source else REST
    target = np.full(volume.shape, background, np.uint8)
    if "labels" in source:
        raw = _like(volume, _existing(root, source["labels"]))
        table = np.full(256, background, np.uint8)
        for number, name in _names(_existing(root, source["names"])).items():
            ours = translate(name)
            if ours:
                table[number] = label_named(ours).id
        target = table[raw]
    for name, path in source.get("masks", {}).items():
        target[_like(volume, _existing(root, path)) > 0] = label_named(name).id
    return volume, target, known


@cache
def _mapping() -> dict[str, str]:
    return json.loads(resource("Labels", "totalsegmentator.json").read_text("utf-8"))


def translate(name: str) -> str | None:
    """Our label name of a TotalSegmentator structure; None for one that UVLM does not segment."""
    return next((ours for pattern, ours in _mapping().items() if fnmatch(name, pattern)), None)


def _names(path: Path) -> dict[int, str]:
    text = path.read_text("utf-8")
    if path.suffix == ".json":
        return {int(number): name for number, name in json.loads(text).items()}
    return {int(row["id"]): row["structure"] for row in csv.DictReader(text.splitlines())}


def _existing(root: Path, name: str) -> Path:
    path = root / name
    if not path.exists():
        raise CaseError(f"The recipe needs {name}, which is not in {root}. Give the data folder with --data.")
    return path


def _like(volume: Volume, path: Path) -> np.ndarray:
    mask = read_volume(path).array
    if mask.shape != volume.shape:
        raise CaseError(f"{path.name} has {mask.shape} voxels (z, y, x), its scan {volume.shape}; they must agree.")
    return mask.astype(np.uint8)
