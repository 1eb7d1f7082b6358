"""`uvlm dataset check`: every case once, in parallel, resumable; a table, pictures and a page of what is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.parallel import worked
from uvlm_core.datasets.problems import Problem, write_problems
from uvlm_core.datasets.splitting import patients_in_two
from uvlm_core.datasets.table import Case, CaseTable, format_row, read_table
from uvlm_core.errors import CaseError
from uvlm_core.files import replace_text, unwritable
from uvlm_core.version import VERSION

PROBLEMS, PAGE, PICTURES, ROWS = "problems.csv", "check.html", "pictures", "rows"


def check_table(path: str | Path, out: str | Path, mapping: Mapping | None = None, jobs: int = 1,
                progress: Callable[[int, int], None] = lambda done, total: None,
                cancel: Callable[[], bool] = lambda: False) -> list[Problem]:
    """Checks every case of a table and writes problems.csv, pictures/ and check.html into `out`.

    A case that was checked before, with the same row and files, is not read again. Nothing else is changed.

    Raises:
        CaseError: the table cannot be read or `out` not be written. Cancelled.
    """
    table, out, mapping = read_table(path), Path(out), mapping or Mapping()
    try:
        for name in (PICTURES, ROWS):
            (out / name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    rows = {}
    tasks = []
    for case in table.cases:
        kept = _kept(out, case, key := case_key(table, case, mapping.own))
        if kept is None:
            tasks.append((CaseTable([case], table.folder), mapping, str(out), key))
        else:
            rows[case.case_id] = kept
    progress(len(rows), len(table.cases))
    for (part, *_), result in worked(checked, tasks, jobs, cancel):
        case = part.cases[0]
        if isinstance(result, OSError):
            raise unwritable(out, result) from result
        if isinstance(result, Exception):
            text = str(result) if isinstance(result, CaseError) else f"{type(result).__name__}: {result}"
            problem = Problem("error", case.case_id, "check failed", text, case.image)
            result = {"problems": [asdict(problem)], "facts": {}}
        rows[case.case_id] = result
        progress(len(rows), len(table.cases))
    problems = [Problem(**row) for case in table.cases for row in rows[case.case_id]["problems"]]
    facts = {name: row["facts"] for name, row in rows.items()}
    problems += table_problems(table.cases, facts)
    _draw_the_others(table, mapping, out, problems, facts, jobs, cancel)
    write_problems(out / PROBLEMS, problems)
    from uvlm_core.datasets.check_page import check_page

    replace_text(out / PAGE, check_page(Path(path).name, table.cases, facts, problems, out / PICTURES))
    return problems


def checked(part: CaseTable, mapping: Mapping, out: str, key: str) -> dict:
    """Checks the one case of `part`, writes its picture and its row; runs in any process."""
    from uvlm_core.datasets.check_case import check_case

    case, folder = part.cases[0], Path(out)
    picture = folder / PICTURES / f"{case.case_id}.png"
    picture.unlink(missing_ok=True)
    problems, facts = check_case(part, case, mapping, picture)
    row = {"key": key, "facts": facts, "problems": [asdict(problem) for problem in problems]}
    beside = folder / ROWS / f".{case.case_id}.writing"
    beside.write_text(json.dumps(row), "utf-8")
    beside.replace(folder / ROWS / f"{case.case_id}.json")
    return row


def _draw_the_others(table, mapping, out: Path, problems: list[Problem], facts: dict, jobs: int, cancel) -> None:
    """Pictures of the cases that only have problems beside other cases."""
    from uvlm_core.datasets.check_case import draw

    wrong = {problem.case_id for problem in problems if problem.severity != "note"}
    paths = {case.case_id: out / PICTURES / f"{case.case_id}.png" for case in table.cases if case.case_id in wrong}
    tasks = [(CaseTable([case], table.folder), case, mapping, paths[case.case_id]) for case in table.cases
             if case.case_id in paths and facts[case.case_id] and not paths[case.case_id].exists()]
    for _, result in worked(draw, tasks, min(jobs, max(1, len(tasks))), cancel):
        if isinstance(result, OSError):
            raise unwritable(out, result) from result


def case_key(table: CaseTable, case: Case, *more) -> str:
    """Short hash of a row, of size and time of its files, and of whatever else decides the result."""
    files = [case.image, case.labels, *(file for files in case.masks.values() for file in files)]
    state = []
    for name in dict.fromkeys(file.partition("#")[0] for file in files if file):
        try:
            found = table.path(case, name).stat()
            state.append((name, found.st_size, found.st_mtime_ns))
        except OSError:
            state.append((name, None, None))
    text = json.dumps([VERSION, format_row(case), str(table.folder), state, *more], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def table_problems(cases: list[Case], facts: dict[str, dict]) -> list[Problem]:
    """What only shows between cases: duplicates, patients in two splits, texts of other patients."""
    problems = []
    for column in ("split", "fold"):
        for patient, values in patients_in_two(cases, column).items():
            names = [case.case_id for case in cases if case.patient == patient]
            problems += [Problem("error", names[0], f"patient in two {column}s", f"patient {patient} is in "
                                 f"{' and '.join(map(str, values))}: {', '.join(names[:6])}",
                                 advice="Split by patient: uvlm dataset split --again.")]
    problems += _alike(cases, lambda case: facts.get(case.case_id, {}).get("sha256", ""), "duplicate scan",
                       "has voxel for voxel the same scan as", "error")
    problems += _alike(cases, lambda case: " ".join(case.report.lower().split()), "same report",
                       "has word for word the same report as", "note")
    owner: dict[str, str] = {}
    for case in cases:
        if case.scan_id and owner.setdefault(case.scan_id, case.patient) != case.patient:
            problems.append(Problem("error", case.case_id, "scan of two patients", f"scan_id {case.scan_id} belongs to "
                                    f"patient {owner[case.scan_id]} and to {case.patient}"))
    return problems


def _alike(cases: list[Case], value: Callable[[Case], str], kind: str, words: str, severity: str) -> list[Problem]:
    """A problem for each case whose value another patient's case, or an unrelated scan, had before."""
    first: dict[str, Case] = {}
    problems = []
    for case in cases:
        text = value(case)
        other = first.setdefault(text, case) if text else case
        if other is not case and (not case.scan_id or case.scan_id != other.scan_id):
            across = case.split and other.split and case.split != other.split
            problems.append(Problem(severity, case.case_id, kind, f"{words} {other.case_id}"
                                    + (f", which is in another split ({other.split})" if across else "")))
    return problems


def _kept(out: Path, case: Case, key: str) -> dict | None:
    try:
        row = json.loads((out / ROWS / f"{case.case_id}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return row if row.get("key") == key else None


def forget(out: Path) -> None:
    """Removes what earlier checks kept, so that every case is read again."""
    shutil.rmtree(Path(out) / ROWS, ignore_errors=True)
