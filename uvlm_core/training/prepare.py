"""From the data sources of a recipe to cases on the model grid, stored once as plain .npy files.

A source is one of
* ``{"kind": "phantoms", "count", "first_seed", "weight", "held_out"}``: made by `uvlm_core.phantom`;
* ``{"kind": "real", "name", "image", "labels", "names", "masks", "known", "insertions", "first_seed", "weight"}``: a scan
  with a label map, paths below the data root; `insertions` copies carry synthetic findings in the real anatomy;
* ``{"kind": "table", "path", "weight"}``: the cases.csv that `uvlm phantom` writes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from uvlm_core.errors import CaseError
from uvlm_core.labels import findings, labels
from uvlm_core.training.losses import REST
from uvlm_core.training.real_scan import load_real
from uvlm_core.volumes.grid import GridSpec, hu_on_grid, labels_to_grid, to_grid
from uvlm_core.volumes.volume import Volume


@dataclass
class GridCase:
    """One case on the model grid, read from its folder only when used.

    image: (Z, Y, X) int16 HU; target: (Z, Y, X) uint8 labels; known: (C,) bool, the classes its source annotates;
    present: finding name -> 0 / 1 / NaN; planted: the findings as plain dicts; imaged: regions in the field of view.
    """

    folder: Path
    source: str
    weight: float
    held_out: bool
    known: np.ndarray
    present: dict[str, float]
    planted: list[dict]
    imaged: list[str]
    has_report: bool
    ijk_to_ras: np.ndarray = field(repr=False)

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def image(self) -> np.ndarray:
        return np.load(self.folder / "image.npy", mmap_mode="r")

    @property
    def target(self) -> np.ndarray:
        return np.load(self.folder / "target.npy", mmap_mode="r")

    @cached_property
    def voxels(self) -> dict[int, np.ndarray]:
        """Voxels per label from which patches are drawn."""
        from uvlm_core.training.sampling import foreground_voxels

        return foreground_voxels(np.asarray(self.target))

    def report(self, wording_seed: int) -> str:
        """A report of the planted findings; another seed gives other words for the same facts."""
        from uvlm_core.phantom.case import PlantedFinding
        from uvlm_core.phantom.report_text import write_report

        planted = [PlantedFinding(**row) for row in self.planted]
        return write_report(planted, set(self.imaged), np.random.default_rng((7, wording_seed)))


def prepare(sources: list[dict], spec: GridSpec, out: Path, data_root: Path | None,
            progress: Callable[[int, int], None] = lambda done, total: None) -> list[GridCase]:
    """All cases of the sources, made where they are not there yet.

    Raises:
        CaseError: a source is unknown or its files are missing.
    """
    jobs = [job for source in sources for job in _jobs(source, data_root)]
    cases = []
    for number, (name, source, make) in enumerate(jobs):
        folder = out / name
        if not (folder / "case.json").exists():
            _store(folder, make, spec)
        cases.append(_load(folder, source, len([j for j in jobs if j[1] is source])))
        progress(number + 1, len(jobs))
    return cases


def _jobs(source: dict, data_root: Path | None) -> list[tuple[str, dict, Callable]]:
    """(case name, source, function that returns the case) for every case of a source."""
    from uvlm_core.phantom.generator import make_phantom

    kind = source.get("kind")
    if kind == "phantoms":
        seeds = range(source["first_seed"], source["first_seed"] + source["count"])
        options = {name: source[name] for name in ("region",) if name in source}
        return [(f"phantom_{seed}", source, lambda seed=seed: _from_phantom(make_phantom(seed, **options)))
                for seed in seeds]
    if kind == "real":
        if data_root is None:
            raise CaseError(f"The source '{source['name']}' needs real scans: give their folder with --data or UVLM_DATA.")
        count = source.get("insertions", 0)
        names = [source["name"]] + [f"{source['name']}_{seed}" for seed in range(count)]
        return [(name, source, lambda n=number: ("real", source, data_root, n)) for number, name in enumerate(names)]
    raise CaseError(f"Unknown kind of data source '{kind}'; there are phantoms and real.")


def _from_phantom(case):
    return ("phantom", case)


def _store(folder: Path, make: Callable, spec: GridSpec) -> None:
    made = make()
    if made[0] == "phantom":
        image, target, matrix, facts = _grid_phantom(made[1], spec)
    else:
        image, target, matrix, facts = _grid_real(*made[1:], spec)
    beside = folder.with_name(folder.name + ".writing")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    np.save(beside / "image.npy", image)
    np.save(beside / "target.npy", target)
    (beside / "case.json").write_text(json.dumps({**facts, "ijk_to_ras": matrix.tolist()}), "utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(beside, folder)


def _facts(case) -> dict:
    from dataclasses import asdict

    return {"planted": json.loads(json.dumps([asdict(row) for row in case.findings], default=_plain)),
            "imaged": sorted(case.imaged), "present": {name: float(value) for name, value in case.present.items()}}


def _plain(value):
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else str(value)


def _grid_phantom(case, spec: GridSpec):
    sample = to_grid(case.volume, spec)
    target = labels_to_grid(case.labels, case.volume, sample)
    facts = {**_facts(case), "known": [label.name for label in labels()], "report": True}
    return hu_on_grid(case.volume, sample), target, sample.ijk_to_ras, facts


def _grid_real(source: dict, root: Path, number: int, spec: GridSpec):
    """The scan itself (number 0), or with synthetic findings put into its anatomy on the model grid."""
    from uvlm_core.phantom.insertion import insert_findings

    volume, target, known = load_real(json.dumps(source, sort_keys=True), root)
    sample = to_grid(volume, spec)
    image, target = hu_on_grid(volume, sample), labels_to_grid(target, volume, sample)
    facts = {"planted": [], "imaged": [], "known": known, "report": False,
             "present": {finding.name: float("nan") for finding in findings()}}
    if number:
        case = insert_findings(Volume(image, sample.ijk_to_ras), target, source.get("first_seed", 0) + number)
        image, target = case.volume.array, case.labels
        facts |= _facts(case)
    return image, target, sample.ijk_to_ras, facts


def _load(folder: Path, source: dict, siblings: int) -> GridCase:
    facts = json.loads((folder / "case.json").read_text("utf-8"))
    known = np.zeros(len(labels()) + 1, bool)
    known[0] = len(facts["known"]) > 1  # where one organ alone is annotated, the rest is not background
    for label in labels():
        known[label.id] = label.name in facts["known"]
    return GridCase(folder, source["kind"], source.get("weight", 1.0) / siblings, source.get("held_out", False), known,
                    facts["present"], facts["planted"], facts["imaged"], facts["report"], np.array(facts["ijk_to_ras"]))


__all__ = ["REST", "GridCase", "prepare"]
