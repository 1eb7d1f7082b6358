"""The case table: one row per scan, as CSV or (with pyarrow) Parquet. Its columns are in docs/datasets.md."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from uvlm_core.datasets.problems import first_of
from uvlm_core.errors import CaseError
from uvlm_core.files import replace_file, unwritable
from uvlm_core.labels import findings

SPLITS = ("train", "validation", "test")
COLUMNS = ("case_id", "patient_id", "scan_id", "source", "root", "image", "labels", "label_names", "masks",
           "known_labels", "report", "spacing", "direction", "rescale_slope", "rescale_intercept", "split", "fold",
           "sex", "age", "licence")
CASE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # becomes the name of a folder: no "..", no hidden one
YES, NO = ("1", "1.0", "true"), ("0", "0.0", "false")


@dataclass
class Case:
    """One row. Paths are as written, relative to `root`; `CaseTable.path` makes them absolute.

    `label_names`: value of the label map -> structure; `masks`: structure -> files; `known_labels`: structures that are
    annotated completely, None for all; `spacing` (z, y, x) mm, `direction` six cosines as in DICOM's
    ImageOrientationPatient and `rescale` (slope, intercept) stand in for a blank header; `findings`: name -> 0 or 1,
    names that are missing are not known; `extra`: columns that UVLM does not know.
    """

    case_id: str
    image: str = ""
    patient_id: str = ""
    scan_id: str = ""
    source: str = ""
    root: str = ""
    labels: str = ""
    label_names: dict[int, str] = field(default_factory=dict)
    masks: dict[str, list[str]] = field(default_factory=dict)
    known_labels: list[str] | None = None
    report: str = ""
    spacing: tuple[float, ...] | None = None
    direction: tuple[float, ...] | None = None
    rescale: tuple[float, float] | None = None
    split: str = ""
    fold: int | None = None
    sex: str = ""
    age: float | None = None
    licence: str = ""
    findings: dict[str, int] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def patient(self) -> str:
        """Who was scanned; the case itself where nobody knows."""
        return self.patient_id or self.case_id

    @property
    def has_masks(self) -> bool:
        return bool(self.labels or self.masks)


@dataclass
class CaseTable:
    """The rows and the folder that their roots are relative to."""

    cases: list[Case]
    folder: Path

    def path(self, case: Case, name: str) -> Path:
        """Absolute path of a file of a case; a trailing "#0" (volume of a 4-D mask) is cut off."""
        return Path(os.path.normpath(self.folder / case.root / name.partition("#")[0]))


def moved(case: Case, table: CaseTable, out: Path) -> Case:
    """The case with its root as seen from the folder of the table `out`; as it is where that is the same folder."""
    base = out.absolute().parent
    if base == table.folder:
        return case
    root = Path(os.path.normpath(table.folder / case.root))
    return replace(case, root=Path(os.path.relpath(root, base)).as_posix() if root.is_relative_to(base)
                   else root.as_posix())


def read_table(path: str | Path) -> CaseTable:
    """Reads a case table.

    Raises:
        CaseError: no such file, no table, columns missing, or cells that cannot be, with row, column and content.
    """
    path = Path(path)
    rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    cases, wrong = [], []
    for number, row in enumerate(rows, 2):  # row 1 is the header, as spreadsheets count
        try:
            cases.append(parse_row(row))
        except CaseError as error:
            wrong.append(f"row {number}: {error}")
    if wrong:
        more = f"\n… and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise CaseError(f"{path.name} has cells that cannot be used:\n" + "\n".join(wrong[:5]) + more)
    names = [case.case_id for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise CaseError(f"{path.name} has the case_id {first_of(twice)} more than once; each row needs its own.")
    if not cases:
        raise CaseError(f"{path.name} has no rows. Import a data set first: uvlm dataset import.")
    return CaseTable(cases, path.absolute().parent)


def write_table(path: str | Path, cases: Iterable[Case]) -> Path:
    """Writes a case table; a CSV opens in any spreadsheet. Raises CaseError where it cannot be written."""
    path, cases = Path(path), list(cases)
    extra = list(dict.fromkeys(name for case in cases for name in case.extra))
    header = [*COLUMNS, *(finding.name for finding in findings()), *extra]
    rows = [format_row(case) for case in cases]
    if path.suffix == ".parquet":
        return _write_parquet(path, header, rows)
    if path.suffix != ".csv":
        raise CaseError(f"A case table is a .csv or .parquet file; found '{path.name}'.")

    def write(file) -> None:
        writer = csv.DictWriter(file, header, restval="")
        writer.writeheader()
        writer.writerows(rows)

    return replace_file(path, write)


def parse_row(row: dict[str, str]) -> Case:
    """A case from the cells of a row. Raises CaseError that names the column and what was found."""
    row = {name: (value or "").strip() for name, value in row.items() if name}
    case_id = row.get("case_id", "")
    if not CASE_ID.fullmatch(case_id):
        raise CaseError(f"case_id '{case_id}' must be made of letters, digits, '.', '_' and '-' and not begin with '.'")
    known = row.get("known_labels", "")
    rescale = [_number(row, name, case_id) for name in ("rescale_slope", "rescale_intercept")]
    fold = _number(row, "fold", case_id)
    if fold is not None and (fold < 0 or fold != int(fold)):
        raise CaseError(f"{case_id}: fold is '{row['fold']}'; expected 0, 1, …")
    spacing = _numbers(row, "spacing", 3, case_id)
    if spacing is not None and min(spacing) <= 0:
        raise CaseError(f"{case_id}: spacing is '{row['spacing']}'; expected millimetres above 0")
    split = row.get("split", "")
    if split and split not in SPLITS:
        raise CaseError(f"{case_id}: split is '{split}'; expected {', '.join(SPLITS)} or nothing")
    names = {finding.name for finding in findings()}
    texts = ("image", "patient_id", "scan_id", "source", "root", "labels", "report", "sex", "licence")
    return Case(
        case_id, **{name: row.get(name, "") for name in texts}, split=split,
        label_names={int(value): name for value, name in _json(row, "label_names", dict, case_id).items()},
        masks=_json(row, "masks", dict, case_id),
        known_labels=_json(row, "known_labels", list, case_id) if known else None,
        spacing=spacing, direction=_numbers(row, "direction", 6, case_id),
        rescale=None if None in rescale else tuple(rescale), fold=None if fold is None else int(fold),
        age=_number(row, "age", case_id),
        findings={name: zero_or_one(row[name], f"{case_id}: {name}") for name in names if row.get(name)},
        extra={name: value for name, value in row.items() if name not in names and name not in COLUMNS})


def format_row(case: Case) -> dict[str, str]:
    """The cells of a case; `parse_row` is the way back."""
    values = {name: getattr(case, name, "") for name in COLUMNS}
    values["label_names"] = json.dumps(case.label_names, ensure_ascii=False) if case.label_names else ""
    values["masks"] = json.dumps(case.masks, ensure_ascii=False) if case.masks else ""
    values["known_labels"] = "" if case.known_labels is None else json.dumps(case.known_labels, ensure_ascii=False)
    for name in ("spacing", "direction"):
        values[name] = " ".join(f"{value:g}" for value in getattr(case, name) or ())
    values["rescale_slope"], values["rescale_intercept"] = case.rescale or ("", "")
    values = {name: "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
              for name, value in values.items()}
    return {**case.extra, **values, **{name: str(value) for name, value in case.findings.items()}}


def zero_or_one(text: str, where: str) -> int:
    """0 or 1 of a cell, also written as 0.0, 1.0, true or false. Raises CaseError for anything else."""
    value = str(text).strip().lower()
    if value in YES or value in NO:
        return int(value in YES)
    raise CaseError(f"{where} is '{text}'; expected 0, 1 or nothing")


def _json(row: dict, name: str, kind: type, case_id: str):
    text = row.get(name, "")
    if not text:
        return kind()
    try:
        value = json.loads(text)
        if not isinstance(value, kind):
            raise ValueError("another kind of value")
        if name == "label_names":
            value = {int(number): str(structure) for number, structure in value.items()}
        elif name == "masks":
            value = {structure: [files] if isinstance(files, str) else files for structure, files in value.items()}
        texts = [value] if kind is list else value.values() if name == "masks" else []
        if not all(isinstance(row, list) and all(isinstance(text, str) for text in row) for row in texts):
            raise ValueError("no lists of texts")
    except ValueError as error:
        shape = '{"name": …}' if kind is dict else '["name", …]'
        raise CaseError(f"{case_id}: {name} is not JSON of the form {shape}: {text[:60]!r}") from error
    return value


def _number(row: dict, name: str, case_id: str) -> float | None:
    found = _numbers(row, name, 1, case_id)
    return None if found is None else found[0]


def _numbers(row: dict, name: str, count: int, case_id: str) -> tuple[float, ...] | None:
    text = row.get(name, "")
    if not text:
        return None
    try:
        values = tuple(float(value) for value in text.replace(",", " ").split())
        if len(values) != count or not all(abs(value) < 1e9 for value in values):
            raise ValueError("another number of values")
    except ValueError as error:
        raise CaseError(f"{case_id}: {name} is '{text}'; expected {count} number{'s' if count > 1 else ''}") from error
    return values


def _csv_rows(path: Path) -> list[dict[str, str]]:
    from uvlm_core.datasets.csv_file import read_rows

    return read_rows(path, needed=("case_id", "image"))


def _parquet_rows(path: Path) -> list[dict[str, str]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise CaseError(_no_pyarrow(path)) from error
    if not path.exists():
        raise CaseError(f"There is no table at {path}.")
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        raise CaseError(f"{path.name} is not a Parquet file: {error}") from error
    missing = [name for name in ("case_id", "image") if rows and name not in rows[0]]
    if missing:
        raise CaseError(f"{path.name} lacks the column {', '.join(missing)}; it has {', '.join(rows[0])}.")
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]


def _write_parquet(path: Path, header: list[str], rows: list[dict[str, str]]) -> Path:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise CaseError(_no_pyarrow(path)) from error
    table = pyarrow.table({name: [row.get(name, "") for row in rows] for name in header})
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(table, beside)
        os.replace(beside, path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        beside.unlink(missing_ok=True)
    return path


def _no_pyarrow(path: Path) -> str:
    return (f"{path.name}: Parquet needs pyarrow, which is not installed. Install it (pip install 'slicer-uvlm[data]') "
            "or use a .csv file.")
