"""From the data sources of a recipe to cases on the model grid, stored once as plain .npy files.

A source has a `name`, a `weight` (odds with which patches and whole scans are drawn, shared out over its cases; stages
that learn from kept tokens, and the report stage, draw every case alike), `held_out` and a `kind`:
* "phantoms": `count` cases from `first_seed`, made by `uvlm_core.phantom`; `findings` false leaves the bare anatomy,
  `share` is the chance of each finding;
* "real": a scan with a label map, files below the data root; see `training.real_scan`;
* "real_with_findings": `count` copies of such a scan with synthetic findings put into the real anatomy (`share` too);
* "table": the rows of a case table; see `training.table_source`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from tqdm import tqdm

from uvlm_core.datasets.storage import store_array, stored_array
from uvlm_core.errors import Cancelled, CaseError, UVLMError
from uvlm_core.files import unwritable
from uvlm_core.labels import findings, labels
from uvlm_core.training import processes
from uvlm_core.training.real_scan import load_real
from uvlm_core.volumes.grid import GridSample, GridSpec, labels_to_grid, to_grid
from uvlm_core.volumes.volume import Volume

PHANTOM_OPTIONS = ("region", "findings", "share", "shape", "spacing")
NOT_MADE_OF = ("weight", "held_out", "count", "first_seed", "licence", "path", "store", "split", "fold", "on_error")


@dataclass
class GridCase:
    """One case on the model grid, read from its folder only when used.

    image: (Z, Y, X) int16 HU; target: (Z, Y, X) uint8 labels; known: (C,) bool, the classes its source annotates;
    present: finding name -> 0 / 1 / NaN; planted: the findings as plain dicts; imaged: regions in the field of view;
    text: the report of a real case, None where it is written from the planted findings; has_masks: `target` says
    something.
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
    text: str | None = None
    has_masks: bool = True

    @property
    def name(self) -> str:
        return case_name(self.source, self.folder)

    @property
    def image(self) -> np.ndarray:
        return stored_array(self.folder, "image")

    @property
    def target(self) -> np.ndarray:
        return stored_array(self.folder, "target")

    @cached_property
    def voxels(self) -> dict[int, np.ndarray]:
        """Voxels per label from which patches are drawn."""
        from uvlm_core.training.sampling import foreground_voxels

        return foreground_voxels(np.asarray(self.target))

    def report(self, wording_seed: int) -> str:
        """The case's own text, or one of the planted findings: another seed gives other words for the same facts."""
        return self.text or report_of(self.planted, self.imaged, np.random.default_rng((7, wording_seed)))


def report_of(planted: list[dict], imaged: list[str], rng: np.random.Generator) -> str:
    """The report of planted findings given as plain dicts; `rng` chooses the words."""
    from uvlm_core.phantom.case import PlantedFinding
    from uvlm_core.phantom.report_text import write_report

    return write_report([PlantedFinding(**row) for row in planted], set(imaged), rng)


def prepare(sources: list[dict], spec: GridSpec, out: Path, data_root: Path | None,
            progress: Callable[[int, int], None] = lambda done, total: None,
            sample: int | None = None, cancel: Callable[[], bool] = lambda: False) -> list[GridCase]:
    """All cases of the sources, made where they are not there yet; processes that train together share the work.

    `sample` takes only so many first cases of each source, and none that is held out. `cancel` is asked before every
    case; True of any process ends all of them, each after its last case.

    Raises:
        CaseError: a source is unknown, its files are missing, or the disk cannot be written.
        Cancelled: `cancel` said so; the cases that are made are kept.
    """
    jobs = [job for source in sources for job in _jobs(source, data_root, spec)]
    if sample is not None:
        jobs = [job for name in dict.fromkeys(source["name"] for _, source, _ in jobs) for job in
                [job for job in jobs if job[1]["name"] == name and not job[1].get("held_out")][:sample]]
    names = Counter(case_name(source["name"], Path(name)) for name, source, _ in jobs)  # tokens are cached under them
    if twice := [name for name, count in names.items() if count > 1]:
        raise CaseError(f"Two data sources have a case {twice[0]}. Give each scan to one source only.")
    stop = False
    for number in processes.mine(range(len(jobs))):
        if stop := cancel():
            break
        name, source, make = jobs[number]
        key = case_key_of(source, make)
        if not _is_made(out / name, key):
            if not _stored(out / name, source, make, spec, key):
                continue
            for tokens in out.parent.glob(f"tokens/*/{Path(name).name}.safetensors"):  # of what was there before
                tokens.unlink()
        progress(number + 1, len(jobs))
    if processes.some_process(stop):  # asked here, where all come: nobody waits for one that has gone
        raise Cancelled
    wanted = {source["name"] for _, source, _ in jobs}
    jobs = [job for job in jobs if job[1].get("on_error") != "skip" or (out / job[0] / "case.json").exists()]
    if unusable := sorted(wanted - {source["name"] for _, source, _ in jobs}):
        raise CaseError(f"No case of the source '{unusable[0]}' can be used. The reasons were told above; put them "
                        "right, or take the source out of the recipe.")
    siblings = Counter(source["name"] for _, source, _ in jobs)
    return [_load(out / name, source, siblings[source["name"]]) for name, source, _ in jobs]


def case_name(source: str, folder: Path) -> str:
    """Of a case within a run. Those in a store are named by their table alone, and two sources may share a table."""
    return folder.name if folder.name.startswith(source) else f"{source}_{folder.name}"


def _stored(folder: Path, source: dict, make: Callable, spec: GridSpec, key: str) -> bool:
    """Makes a case; False where it cannot be used and its source says to go on without it."""
    try:
        made = _gridded(make(), spec)
    except UVLMError as error:
        if source.get("on_error") != "skip":
            raise
        shutil.rmtree(folder, ignore_errors=True)  # of earlier options
        tqdm.write(f"{folder.name} is left out: {error}", file=sys.stderr)
        return False
    try:
        _store(folder, *made, key)
    except OSError as error:  # with the next case it would be no better
        raise unwritable(folder, error) from error
    return True


def case_key_of(source: dict, make: Callable) -> str:
    """What decides how a case of the source is made, as a short hash: a case of other options is made anew."""
    from uvlm_core.phantom.generator import DRAWING

    decides = {name: value for name, value in source.items() if name not in NOT_MADE_OF}
    if source["kind"] in ("phantoms", "real_with_findings"):
        decides["drawing"] = DRAWING
    text = json.dumps([decides, getattr(make, "key", None)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_made(folder: Path, key: str) -> bool:
    """Whether the case is there as its source now is; cases of a store are what the store says."""
    try:
        facts = json.loads((folder / "case.json").read_text("utf-8"))
        return "sha256" in facts or facts.get("source_key", key) == key
    except FileNotFoundError:
        return False
    except (ValueError, AttributeError):  # damaged
        return False


def count_cases(sources: list[dict], spec: GridSpec, data_root: Path | None) -> tuple[int, int]:
    """How many cases the sources have, (to train on, held out), without making any."""
    held_out = [bool(source.get("held_out")) for row in sources for _, source, _ in _jobs(row, data_root, spec)]
    return held_out.count(False), held_out.count(True)


def _jobs(source: dict, data_root: Path | None, spec: GridSpec) -> list[tuple[str, dict, Callable]]:
    """(case name, source, function that returns the case) for every case of a source."""
    kind, name = source.get("kind"), source.get("name")
    if kind not in ("phantoms", "real", "real_with_findings", "table") or not name:
        raise CaseError("A data source needs a name and one of the kinds phantoms, real, real_with_findings and table; "
                        f"found kind '{kind}', name '{name}'.")
    if kind == "table":
        from uvlm_core.training.table_source import table_jobs

        return table_jobs(source, data_root, spec)
    if kind == "phantoms":
        from uvlm_core.phantom.generator import make_phantom

        seeds = range(source["first_seed"], source["first_seed"] + source["count"])
        options = {option: source[option] for option in PHANTOM_OPTIONS if option in source}
        return [(f"{name}_{seed}", source, lambda seed=seed: _from_phantom(make_phantom(seed, **options)))
                for seed in seeds]
    if data_root is None:
        raise CaseError(f"The source '{name}' needs real scans: give their folder with --data or UVLM_DATA.")
    if kind == "real":
        return [(name, source, lambda: ("real", source, data_root, None))]
    seeds = range(source["first_seed"], source["first_seed"] + source["count"])
    return [(f"{name}_{seed}", source, lambda seed=seed: ("real", source, data_root, seed)) for seed in seeds]


def _from_phantom(case):
    return ("phantom", case)


def _gridded(made: tuple, spec: GridSpec) -> tuple:
    """(image, target, ijk_to_ras, facts) of what a source made."""
    if made[0] == "phantom":
        return _grid_phantom(made[1], spec)
    if made[0] == "table":
        return made[1](spec)
    return _grid_real(*made[1:], spec)


def _store(folder: Path, image: np.ndarray, target: np.ndarray, matrix: np.ndarray, facts: dict, key: str) -> None:
    """Writes a case beside its place and moves it there. Raises OSError where the disk refuses."""
    beside = folder.with_name(folder.name + ".writing")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        store_array(beside, "image", image, packed=False)
        store_array(beside, "target", target, packed=False)
        (beside / "case.json").write_text(json.dumps({**facts, "ijk_to_ras": matrix.tolist(), "source_key": key}),
                                          "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    return _stored_hu(sample), target, sample.ijk_to_ras, facts


def _stored_hu(sample: GridSample) -> np.ndarray:
    return np.clip(np.rint(sample.hu), -1024, 3071).astype(np.int16)


def _grid_real(source: dict, root: Path, seed: int | None, spec: GridSpec):
    """The scan itself, or (with a seed) with synthetic findings put into its anatomy on the model grid."""
    volume, target, known = load_real(json.dumps(source, sort_keys=True), root)
    sample = to_grid(volume, spec)
    image, target = _stored_hu(sample), labels_to_grid(target, volume, sample)
    facts = {"planted": [], "imaged": [], "known": known, "report": False,
             "present": {finding.name: float("nan") for finding in findings()}}
    if seed is not None:
        from uvlm_core.phantom.insertion import insert_findings

        case = insert_findings(Volume(image, sample.ijk_to_ras), target, seed, source.get("share", 0.3))
        image, target = case.volume.array, case.labels
        facts |= _facts(case)
    return image, target, sample.ijk_to_ras, facts


def _load(folder: Path, source: dict, siblings: int) -> GridCase:
    facts = json.loads((folder / "case.json").read_text("utf-8"))
    known = np.zeros(len(labels()) + 1, bool)
    known[0] = len(facts["known"]) == len(labels())  # where only some are annotated, the rest is not background
    for label in labels():
        known[label.id] = label.name in facts["known"]
    return GridCase(folder, source["name"], source.get("weight", 1.0) / siblings, source.get("held_out", False), known,
                    facts["present"], facts["planted"], facts["imaged"], facts["report"], np.array(facts["ijk_to_ras"]),
                    facts.get("text"), facts.get("masks", True))
