"""The released U-VLM code's CSV tables and blosc2 arrays: its preprocessing done, its data kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from uvlm_core.datasets.csv_file import cell, find_column, read_rows
from uvlm_core.datasets.importers.nnunet import label_names
from uvlm_core.datasets.layout import ImportOptions, as_case_id, in_years, is_not_given, read_json, relative, sex_of
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case, zero_or_one
from uvlm_core.errors import CaseError

KIND, TITLE = "released-tables", "tables of the released U-VLM code"
NOMINAL = (1.5, 1.0, 1.0)  # mm that its plans name; its preprocessing stretches every scan, so they are no real ones


def clues(folder: Path) -> list[str]:
    """Why the folder holds the released code's tables."""
    return [f"{path.name} has the columns series_id and blosc2_path" for path in _tables(folder)][:2]


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """One case per series; tables of masks and of reports about the same series are joined."""
    tables = _tables(folder)
    if not tables:
        raise CaseError(f"{folder} has no CSV file with the columns series_id and blosc2_path.")
    names = label_names(read_json(folder / "dataset.json")) if (folder / "dataset.json").exists() else {}
    found: dict[str, Case] = {}
    for table in tables:
        for row in read_rows(table, ("series_id", "blosc2_path")):
            yield from _merge(found, row, table, folder, names, options)
    yield from found.values()


def _merge(found: dict, row: dict, table: Path, folder: Path, names: dict, options: ImportOptions) -> Iterator[Problem]:
    name = as_case_id(row["series_id"].strip())
    image = _located(row["blosc2_path"], table, folder)
    if image is None:
        yield Problem("error", name, "no scan", f"{table.name} names {row['blosc2_path']}, which is not there",
                      advice="Copy it below the folder, or leave it out with --on-error skip.")
        return
    patient = cell(row, "patient_id", "case_id") or name
    case = found.setdefault(name, Case(name, relative(image, folder), as_case_id(patient), spacing=NOMINAL))
    case.scan_id = as_case_id(cell(row, "case_id")) if cell(row, "case_id") else case.scan_id
    text = cell(row, "report", "answer", "response")
    case.report = case.report if is_not_given(text) else text
    case.sex, case.age = sex_of(cell(row, "sex")) or case.sex, in_years(cell(row, "age")) or case.age
    if path := cell(row, "seg_blosc2_path"):
        yield from _add_masks(case, _located(path, table, folder), path, names, folder)
    for column, value in row.items():
        finding = options.mapping.finding(column, KIND)
        if finding and value.strip():
            try:
                case.findings[finding] = zero_or_one(value, column)
            except CaseError as error:
                yield Problem("error", name, "label", f"{table.name}: {error}")
    shape = re.findall(r"\d+", cell(row, "processed_shape"))
    case.extra["processed_shape"] = " ".join(shape)


def _add_masks(case: Case, path: Path | None, written: str, names: dict, folder: Path) -> Iterator[Problem]:
    if path is None:
        yield Problem("error", case.case_id, "no mask", f"its label map {written} is not there")
        return
    case.labels, case.label_names = relative(path, folder), names
    if not names:
        yield Problem("warning", case.case_id, "label names", "there is no dataset.json that names the values of its "
                      "label map", advice="Put the data set's dataset.json beside the table.")


def _located(written: str, table: Path, folder: Path) -> Path | None:
    """The file where it lies now: beside the table, below the folder, or by the longest end of its old path."""
    parts = PurePosixPath(written.strip().replace("\\", "/")).parts
    for first in range(len(parts)):
        for base in (table.parent, folder):
            path = base.joinpath(*parts[first:])
            if path.is_file() and path.is_relative_to(folder):
                return path
    return None


def _tables(folder: Path) -> list[Path]:
    found = []
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*/*.csv")]):
        try:
            rows = read_rows(path)
        except CaseError:
            continue
        if rows and find_column(rows[0], "series_id") and find_column(rows[0], "blosc2_path"):
            found.append(path)
    return found
