"""A case table as a data source of a recipe: real scans with what is known of each, masks, findings or report.

    {"name": "chest", "kind": "table", "path": "cases.csv"}

Rows of the split `validation` are held out, `test` is left alone, all others are trained on. Further entries:
`fold` holds out the rows of that fold instead; `split` takes the rows of one split only (with `held_out` true or
false as in other sources); `store` reads cases that `uvlm dataset prepare` made; `mapping` is a mapping file;
`same_voxels` and `on_error` ("stop", or "skip" to go on without cases that cannot be used) are those of the command.
Paths are relative to the data root, else to the working folder.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from uvlm_core.datasets.checking import case_key
from uvlm_core.datasets.mapping import read_mapping
from uvlm_core.datasets.table import Case, CaseTable, read_table
from uvlm_core.errors import CaseError
from uvlm_core.volumes.grid import GridSpec


def table_jobs(source: dict, root: Path | None, spec: GridSpec) -> list[tuple[str, dict, Callable]]:
    """(folder of the case, source with `held_out`, function that makes it) for every row that is used.

    The folder is a name for the run's own cases, or the absolute path of a case in a store.

    Raises:
        CaseError: a table or store that cannot be read or is for another grid, no rows.
    """
    table, mapping = read_table(_found(source["path"], root)), None
    mapping = read_mapping(_found(source["mapping"], root) if "mapping" in source else None)
    trained, held = {**source, "held_out": False}, {**source, "held_out": True}
    store = _opened(_found(source["store"], root), spec) if "store" in source else None
    jobs = []
    for case in table.cases:
        role = _role(case, source)
        if role is None:
            continue
        same = bool(source.get("same_voxels"))
        if store is None:
            name = f"{source['name']}_{case.case_id}"
        else:
            name = str(store / "cases" / case.case_id)
            if not (Path(name) / "case.json").exists():
                if source.get("on_error", "stop") == "skip":
                    continue
                raise CaseError(f"{case.case_id} is not in the store {store}. Prepare it (uvlm dataset prepare), or "
                                "set 'on_error' to 'skip' in the recipe.")
        jobs.append((name, held if role == "held out" else trained, _maker(table, case, mapping, same)))
    if not jobs:
        raise CaseError(f"No row of {source['path']} is used by the source '{source['name']}'. "
                        "Check its split and fold.")
    return jobs


def _maker(table: CaseTable, case: Case, mapping, same_voxels: bool) -> Callable:
    def make():
        from uvlm_core.datasets.gridding import grid_case

        return "table", lambda spec: grid_case(table, case, mapping, spec, same_voxels)

    make.key = case_key(table, case, mapping.own, same_voxels)
    return make


def _role(case: Case, source: dict) -> str | None:
    """"trained", "held out" or None for a row that is not used."""
    if "split" in source:
        if case.split != source["split"]:
            return None
        return "held out" if source.get("held_out") else "trained"
    if source.get("held_out"):
        return "held out"
    if case.split == "test":
        return None
    if "fold" in source:
        return "held out" if case.fold == source["fold"] else "trained"
    return "held out" if case.split == "validation" else "trained"


def _opened(store: Path, spec: GridSpec) -> Path:
    from uvlm_core.datasets.preparing import MANIFEST, open_store

    if not (store / MANIFEST).exists():
        raise CaseError(f"There is no store at {store}. Make it: uvlm dataset prepare.")
    open_store(store, spec)
    return store.absolute()


def _found(name: str, root: Path | None) -> Path:
    """A path of the recipe: below the data root where it is there, else as it stands."""
    below = root / name if root is not None else None
    return below if below is not None and below.exists() else Path(name)
