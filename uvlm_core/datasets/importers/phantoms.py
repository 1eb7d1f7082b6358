"""What `uvlm phantom` writes: images/, labels/ and cases.csv."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import read_rows
from uvlm_core.datasets.layout import ImportOptions, as_case_id
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case, zero_or_one
from uvlm_core.errors import CaseError
from uvlm_core.labels import findings, labels

KIND, TITLE = "phantoms", "UVLM's phantoms"
NEEDED = ("case", "image", "label", "report")


def clues(folder: Path) -> list[str]:
    """Why the folder holds phantoms."""
    try:
        rows = read_rows(folder / "cases.csv", (*NEEDED, "seed"))
    except CaseError:
        return []
    return ["cases.csv has the columns case, image, label, report and seed"] if rows else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every row of cases.csv."""
    names = {label.id: label.name for label in labels()}
    for row in read_rows(folder / "cases.csv", NEEDED):
        name = as_case_id(row["case"])
        case = Case(name, row["image"], name, labels=row["label"], label_names=names, report=row["report"],
                    licence="Apache-2.0")
        missing = [file for file in (case.image, case.labels) if not (folder / file).exists()]
        if missing:
            yield Problem("error", name, "no file", "a file of it is missing", missing[0],
                          "Write it again, or leave it out with --on-error skip.")
            continue
        try:
            case.findings = {finding.name: zero_or_one(row[finding.name], finding.name) for finding in findings()
                             if row.get(finding.name)}
        except CaseError as error:
            yield Problem("error", name, "label", str(error))
        yield case
