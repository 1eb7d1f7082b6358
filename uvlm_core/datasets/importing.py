"""`uvlm dataset import`: finds the importer, runs it, looks at every file once, writes the case table."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from uvlm_core.datasets.layout import ImportOptions, take_report
from uvlm_core.datasets.problems import Problem, counted, list_problems
from uvlm_core.datasets.table import CASE_ID, Case, write_table
from uvlm_core.errors import CaseError, VolumeError

# the order is that of the guess: a folder that fits several is of the first
MODULES = ("kept_cases", "phantoms", "ct_rate", "rexgroundingct", "radgenome", "abdomen_atlas", "totalsegmentator",
           "amos22", "nnunet", "released_tables", "plain_folder")
ON_ERROR = ("stop", "skip")


@dataclass(frozen=True)
class Guess:
    """An importer that fits a folder, and why."""

    kind: str
    title: str
    clues: list[str]


def importers() -> dict[str, ModuleType]:
    """Kind -> importer module, in the order of the guess."""
    modules = [importlib.import_module(f"uvlm_core.datasets.importers.{name}") for name in MODULES]
    return {module.KIND: module for module in modules}


def guess(folder: str | Path) -> list[Guess]:
    """The importers that fit a folder, the best first; the plain folder fits wherever there are scans.

    Raises:
        CaseError: there is no such folder, or nothing in it can be imported.
    """
    folder = _existing(folder)
    found = [Guess(kind, module.TITLE, clues) for kind, module in importers().items()
             if (clues := module.clues(folder))]
    if not found:
        raise CaseError(f"{folder} looks like none of {', '.join(importers())}: there are no scans in it. "
                        "Choose the folder that holds the data set.")
    return found


def import_dataset(kind: str, folder: str | Path, out: str | Path, on_error: str = "stop",
                   options: ImportOptions | None = None, verify: bool = False,
                   progress: Callable[[int, int], None] = lambda done, total: None) -> tuple[list[Case], list[Problem]]:
    """Writes the case table `out` of a data set, and beside it a table of its problems where there are any.

    Args:
        kind: one of `importers()`, or "auto" for the best guess.
        on_error: "stop" refuses a data set with errors and writes no table; "skip" leaves out what is wrong: the row,
            or of a wrong label the cell.
        verify: reads every scan and mask completely, which takes as long as reading the whole data set.

    Returns:
        cases of the table, problems of all severities.

    Raises:
        CaseError: unknown kind, no such folder, nothing to import, or an error with "stop".
    """
    if on_error not in ON_ERROR:
        raise CaseError(f"--on-error is {' or '.join(ON_ERROR)}; found '{on_error}'.")
    folder, out = _existing(folder), Path(out)
    kind = guess(folder)[0].kind if kind == "auto" else kind
    if kind not in importers():
        raise CaseError(f"There is no importer '{kind}'; there are {', '.join(importers())}, and auto.")
    cases, problems = [], []
    for row in importers()[kind].cases(folder, options or ImportOptions()):
        (cases if isinstance(row, Case) else problems).append(row)
    for case in cases:
        case.source, case.root = kind, _root(folder, out)
        problems += take_report(case, case.report)  # what a table says
    problems += _same_names(cases)
    unusable = set()
    for number, case in enumerate(cases):
        for problem in looked_at(case, folder, verify):
            problems.append(problem)
            unusable.add(id(case))
        progress(number + 1, len(cases))
    errors = [problem for problem in problems if problem.severity == "error"]
    listed = out.with_name(f"{out.stem}_problems.csv")
    list_problems(listed, problems)
    if errors and on_error == "stop":
        raise CaseError(_refusal(errors, listed))
    cases = [case for case in cases if id(case) not in unusable]
    if not cases:
        raise CaseError(f"Nothing of {folder} can be used: {counted(problems)}, see {listed}.")
    write_table(out, cases)
    return cases, problems


def looked_at(case: Case, folder: Path, verify: bool) -> Iterator[Problem]:
    """Missing, empty and headless files of a case; with `verify` its scan and masks are read to their ends."""
    from uvlm_core.datasets.table import CaseTable

    if not CASE_ID.fullmatch(case.case_id):
        yield Problem("error", case.case_id, "name", "its name cannot be a case_id", case.image)
        return
    for file in [case.image, case.labels, *(file for files in case.masks.values() for file in files)]:
        if file and (problem := _file_problem(folder / file.partition("#")[0], file, case, header=file == case.image)):
            yield problem
            return
    if verify and case.image:
        from uvlm_core.datasets.mapping import Mapping
        from uvlm_core.datasets.masks import paint
        from uvlm_core.datasets.scan import read_scan

        table = CaseTable([case], folder)
        root, case.root = case.root, ""
        try:
            paint(table, case, read_scan(table, case), Mapping())
        except (CaseError, VolumeError) as error:
            yield Problem("error", case.case_id, "unreadable", str(error), case.image)
        finally:
            case.root = root


def _file_problem(path: Path, name: str, case: Case, header: bool) -> Problem | None:
    from uvlm_core.volumes.nifti import read_geometry

    try:
        if path.is_dir():
            return None
        if path.stat().st_size == 0:
            return Problem("error", case.case_id, "empty file", "a file of it has 0 bytes", name, "Copy it again.")
        if header and path.name.endswith((".nii", ".nii.gz")):
            read_geometry(path)
    except FileNotFoundError:
        return Problem("error", case.case_id, "no file", "a file of it is missing", name, "Copy it again.")
    except (OSError, EOFError, VolumeError) as error:
        return Problem("error", case.case_id, "unreadable", str(error), name, "Copy it again.")
    return None


def _same_names(cases: list[Case]) -> list[Problem]:
    seen: set[str] = set()
    problems = []
    for case in cases:
        if case.case_id in seen:
            problems.append(Problem("error", case.case_id, "same name", "two scans have this name", case.image,
                                    "Rename one of them."))
        seen.add(case.case_id)
    first = {case.case_id: case for case in reversed(cases)}
    cases[:] = [case for case in cases if first[case.case_id] is case]
    return problems


def _existing(folder: str | Path) -> Path:
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise CaseError(f"There is no folder at {folder}. Choose the folder that holds the data set.")
    return folder.absolute()


def _root(folder: Path, out: Path) -> str:
    """The folder as it stands in the table: relative where both lie together, so that they can be moved."""
    base = Path(out).absolute().parent
    return Path(os.path.relpath(folder, base)).as_posix() if folder.is_relative_to(base) else folder.as_posix()


def _refusal(errors: list[Problem], listed: Path) -> str:
    lines = [f"{problem.case_id or 'data set'}: {problem.message}{f' ({problem.file})' if problem.file else ''}"
             for problem in errors[:5]]
    more = f"\n… and {len(errors) - 5} more" if len(errors) > 5 else ""
    return (f"The data set has {counted(errors)}:\n" + "\n".join(lines) + more
            + f"\nAll are in {listed}. Correct them, or leave them out with --on-error skip.")
