"""What is wrong with a case, as a row that a person can act on."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from uvlm_core.files import replace_file, unwritable

SEVERITIES = ("error", "warning", "note")  # cannot be used; may be wrong; good to know
COLUMNS = ("severity", "case_id", "kind", "message", "file", "advice")


@dataclass(frozen=True)
class Problem:
    """One problem of one case ("" for the data set as a whole).

    `kind` is a short word for counting and sorting, `message` says what was expected and found, `file` names the file
    where there is one, `advice` says how to go on; `about` names a structure or a finding that a picture should show.
    """

    severity: str
    case_id: str
    kind: str
    message: str
    file: str = ""
    advice: str = ""
    about: str = ""


def write_problems(path: Path, problems: Iterable[Problem]) -> None:
    """A CSV of the problems, errors first; spreadsheet programs open it."""
    rows = sorted(problems, key=lambda row: (SEVERITIES.index(row.severity), row.case_id, row.kind))

    def write(file) -> None:
        writer = csv.DictWriter(file, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)

    replace_file(path, write)


def list_problems(path: Path, problems: Iterable[Problem]) -> None:
    """`write_problems`, or without problems removes the list of an earlier run: it would accuse repaired cases."""
    problems = list(problems)
    if problems:
        write_problems(path, problems)
    elif path.exists():  # asked first: a disk that cannot be written refuses to remove even what is not there
        try:
            path.unlink()
        except OSError as error:
            raise unwritable(path, error) from error


def counted(problems: Iterable[Problem]) -> str:
    """For example "2 errors, 1 warning"; "no problems" where there are none."""
    severities = [problem.severity for problem in problems]
    words = [f"{count} {name}{'s' if count > 1 else ''}" for name in SEVERITIES if (count := severities.count(name))]
    return ", ".join(words) or "no problems"


def first_of(names: list[str], most: int = 4) -> str:
    """The first few names as text: "a, b, c and 12 more"."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
