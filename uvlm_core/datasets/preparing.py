"""`uvlm dataset prepare`: a table's cases on the model's grid, compressed, so that training only has to read them.

    STORE/store.json            grid and storage
    STORE/cases/CASE/           image (int16 HU) and target (uint8) as .b2nd or .npy, case.json with facts and sha256
    STORE/failed.csv            cases that could not be prepared, with the reason
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from uvlm_core.datasets.checking import case_key
from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.parallel import worked
from uvlm_core.datasets.problems import Problem, list_problems
from uvlm_core.datasets.storage import array_hash, has_blosc, store_array, stored_array
from uvlm_core.datasets.table import Case, CaseTable, read_table
from uvlm_core.errors import CaseError, UVLMError
from uvlm_core.files import replace_text, unwritable
from uvlm_core.volumes.grid import GridSpec

MANIFEST, CASES, FACTS, FAILED = "store.json", "cases", "case.json", "failed.csv"
SCHEMA = "uvlm-store/1"


@dataclass(frozen=True)
class Prepared:
    """What a call did: numbers of cases made now, kept from before, and failed (with their problems)."""

    made: int
    kept: int
    problems: list[Problem]


def prepare_table(path: str | Path, store: str | Path, spec: GridSpec, mapping: Mapping | None = None, jobs: int = 1,
                  on_error: str = "skip", same_voxels: bool = False, verify: bool = False,
                  progress: Callable[[int, int], None] = lambda done, total: None,
                  cancel: Callable[[], bool] = lambda: False) -> Prepared:
    """Puts every case of a table into the store; what is there with the same row, files and grid is kept.

    Args:
        on_error: "skip" goes on and lists the cases that failed in failed.csv; "stop" ends at the first.
        same_voxels: masks are taken voxel for voxel even where their header puts them elsewhere.
        verify: reads every kept case again and compares it with its sha256; damaged ones are made anew.

    Raises:
        CaseError: the table cannot be read, the store is for another grid or cannot be written, or a case failed and
            `on_error` is "stop". Cancelled: what is finished stays, the same call goes on.
    """
    if on_error not in ("skip", "stop"):
        raise CaseError(f"--on-error is skip or stop; found '{on_error}'.")
    table, store, mapping = read_table(path), Path(store), mapping or Mapping()
    packed = open_store(store, spec)
    tasks, kept = [], 0
    for case in table.cases:
        key = case_key(table, case, mapping.own, same_voxels)
        if is_prepared(store, case, key, verify):
            kept += 1
        else:
            tasks.append((CaseTable([case], table.folder), str(store), spec, mapping, same_voxels, packed, key))
    progress(kept, len(table.cases))
    problems, done = [], 0
    try:
        for (part, *_), result in worked(prepare_case, tasks, jobs, cancel):
            if isinstance(result, BaseException):
                problems.append(failed(part.cases[0], result, store))
                if on_error == "stop":
                    raise CaseError(f"{problems[0].case_id}: {problems[0].message} Correct it, or go on without such "
                                    "cases with --on-error skip.")
            done += 1
            progress(kept + done, len(table.cases))
    finally:
        for (part, *_) in tasks if jobs > 1 else ():  # of processes that were ended
            for left in (store / CASES).glob(f".{part.cases[0].case_id}.*.writing"):
                shutil.rmtree(left, ignore_errors=True)
        list_problems(store / FAILED, problems)
    return Prepared(done - len(problems), kept, problems)


def prepare_case(part: CaseTable, store: str, spec: GridSpec, mapping: Mapping, same_voxels: bool, packed: bool,
                 key: str) -> None:
    """Makes the one case of `part` beside its place, reads it back, and moves it there; runs in any process."""
    from uvlm_core.datasets.gridding import grid_case

    case = part.cases[0]
    image, target, matrix, facts = grid_case(part, case, mapping, spec, same_voxels)
    folder = Path(store) / CASES / case.case_id
    beside = folder.with_name(f".{case.case_id}.{os.getpid()}.writing")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        sums = {}
        for name, array in (("image", image), ("target", target)):
            store_array(beside, name, array, packed)
            sums[name] = array_hash(array)
            if array_hash(np.asarray(stored_array(beside, name))) != sums[name]:
                raise OSError(5, "what was read back differs from what was written", str(beside))
        content = {**facts, "ijk_to_ras": matrix.tolist(), "key": key, "sha256": sums, "split": case.split,
                   "fold": case.fold, "source": case.source, "licence": case.licence}
        (beside / FACTS).write_text(json.dumps(content, allow_nan=True), "utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def open_store(store: Path, spec: GridSpec) -> bool:
    """Makes the store's folder or checks that it is for the same grid; whether its arrays are packed.

    Raises:
        CaseError: another grid, another kind of folder, or it cannot be written.
    """
    manifest = store / MANIFEST
    grid = json.loads(json.dumps(asdict(spec)))
    if manifest.exists():
        try:
            found = json.loads(manifest.read_text("utf-8"))
            schema, before, packed = found["schema"], dict(found["grid"]), bool(found["packed"])
        except (ValueError, KeyError, TypeError) as error:
            raise CaseError(f"{manifest} is damaged ({error!r}). Choose a new folder, or delete this store.") from error
        if schema != SCHEMA:
            raise CaseError(f"{store} has the schema '{schema}'; '{SCHEMA}' is expected. Choose a new folder.")
        if before != grid:
            other = [name for name in grid if before.get(name) != grid[name]]
            raise CaseError(f"{store} was prepared for another grid ({', '.join(other)}: "
                            f"{', '.join(str(before.get(name)) for name in other)} instead of "
                            f"{', '.join(str(grid[name]) for name in other)}). Choose a new folder.")
        if packed and not has_blosc():
            raise CaseError(f"{store} is packed with blosc2, which is not installed: pip install 'slicer-uvlm[data]'.")
        return packed
    if store.exists() and any(store.iterdir()):
        raise CaseError(f"{store} has something else in it. Choose a new folder for the store.")
    packed = has_blosc()
    try:
        (store / CASES).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(store, error) from error
    replace_text(manifest, json.dumps({"schema": SCHEMA, "grid": grid, "packed": packed}, indent=1))
    return packed


def is_prepared(store: Path, case: Case, key: str, verify: bool = False) -> bool:
    """Whether the store has the case as its row and files are now; with `verify` whether its arrays are sound."""
    folder = store / CASES / case.case_id
    try:
        content = json.loads((folder / FACTS).read_text("utf-8"))
    except (OSError, ValueError):
        return False
    if content.get("key") != key:
        return False
    if not verify:
        return True
    try:
        return all(array_hash(np.asarray(stored_array(folder, name))) == value
                   for name, value in content["sha256"].items())
    except CaseError:
        return False


def failed(case: Case, error: BaseException, store: Path) -> Problem:
    """The problem of a case that could not be prepared; a disk that cannot be written ends the whole run."""
    if isinstance(error, OSError) and error.errno is not None:
        raise unwritable(store, error) from error
    if isinstance(error, MemoryError):
        text = "there is not enough memory for it; use fewer --jobs."
    else:
        text = str(error) if isinstance(error, UVLMError) else f"{type(error).__name__}: {error}"
    return Problem("error", case.case_id, "not prepared", text, case.image)
