"""A folder of own scans: files or DICOM folders, with masks, texts and a table where they are named alike.

    scan.nii.gz, scan_seg.nii.gz, scan.txt        side by side, or
    images/scan.nii.gz, labels/scan.nii.gz, reports/scan.txt
    labels.json ({"1": "liver"}) and any .csv with a column case, file or image (report, patient, split, findings …)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import cell, read_rows
from uvlm_core.datasets.layout import (
    ImportOptions,
    as_case_id,
    below,
    in_years,
    read_json,
    relative,
    sex_of,
    stem,
)
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import SPLITS, Case, zero_or_one
from uvlm_core.errors import CaseError

KIND, TITLE = "plain-folder", "a plain folder"
MASK = re.compile(r"[-_. ](seg|segmentation|label|labels|mask|masks)$", re.IGNORECASE)
MASK_FOLDER = re.compile(r"^(seg|segmentation|label|mask|labelsTr)s?$", re.IGNORECASE)
NAME_COLUMNS = ("case_id", "case", "file", "filename", "image", "scan", "id", "name", "volumename")


def clues(folder: Path) -> list[str]:
    """Any folder with scans; every other importer is asked first."""
    found = _scans(folder)
    return [f"there are {len(found)} scans, for example {next(iter(found.values())).name}"] if found else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every scan file and DICOM folder."""
    scans, masks, texts = _scans(folder), _masks(folder), _texts(folder)
    if not scans:
        raise CaseError(f"{folder} has no scans: no NIfTI, NRRD or MetaImage files and no folders of DICOM files.")
    rows, names = _rows(folder), _label_names(folder)
    used = set()
    for name, path in scans.items():
        case = Case(as_case_id(name), relative(path, folder), report=texts.get(name, ""))
        if name in masks:
            case.labels, case.label_names = relative(masks[name], folder), names
            if not names:
                yield Problem("warning", case.case_id, "label names", "nothing names the values of its label map",
                              case.labels, 'Put labels.json with {"1": "liver", …} into the folder.')
        used.add(name)
        yield from _fill(case, rows.get(name, {}), options)
        if not case.report:
            yield Problem("note", case.case_id, "no report", "no text belongs to it")
        yield case
    if lost := sorted(set(masks) - used):
        yield Problem("warning", "", "no scan", f"{len(lost)} masks belong to no scan: {first_of(lost)}")
    if lost := sorted(set(rows) - used):
        yield Problem("warning", "", "no scan", f"{len(lost)} rows of the tables belong to no scan: {first_of(lost)}")


def _fill(case: Case, row: dict, options: ImportOptions) -> Iterator[Problem]:
    case.patient_id = cell(row, "patient_id", "patient", "subject")
    case.report = cell(row, "report", "text") or case.report
    case.sex, case.age = sex_of(cell(row, "sex", "gender")), in_years(cell(row, "age"))
    split = {"val": "validation", "valid": "validation"}.get(cell(row, "split"), cell(row, "split"))
    if split in SPLITS:
        case.split = split
    elif split:
        yield Problem("warning", case.case_id, "split", f"'{split}' is none of {', '.join(SPLITS)}; none was taken")
    for column, value in row.items():
        finding = options.mapping.finding(column, KIND)
        if finding and value.strip():
            try:
                case.findings[finding] = zero_or_one(value, column)
            except CaseError as error:
                yield Problem("error", case.case_id, "label", str(error), advice="Correct it, or leave it out with "
                              "--on-error skip: the finding is then not known.")


def _scans(folder: Path) -> dict[str, Path]:
    """Name -> scan file or DICOM folder; names that occur twice are told apart by their folders."""
    found = [path for path in below(folder) if not _is_mask(path, folder)]
    found += sorted({path.parent for path in folder.rglob("*.*") if path.suffix.lower() in (".dcm", ".ima")
                     and path.is_file() and path.parent != folder})
    names = [stem(path.name) for path in found]
    count = Counter(names)
    return {name if count[name] == 1 else relative(path, folder): path
            for name, path in sorted(zip(names, found, strict=True))}


def _masks(folder: Path) -> dict[str, Path]:
    return {MASK.sub("", stem(path.name)): path for path in below(folder) if _is_mask(path, folder)}


def _is_mask(path: Path, folder: Path) -> bool:
    parents = path.relative_to(folder).parts[:-1]
    return bool(MASK.search(stem(path.name))) or any(MASK_FOLDER.match(part) for part in parents)


def _texts(folder: Path) -> dict[str, str]:
    return {path.stem: path.read_text("utf-8", errors="replace").strip() for path in sorted(folder.rglob("*.txt"))
            if path.stat().st_size < 1_000_000}


def _rows(folder: Path) -> dict[str, dict]:
    """Name of the scan -> row of any table of the folder that has a column for it."""
    rows = {}
    for path in sorted(folder.glob("*.csv")):
        for row in read_rows(path):
            if name := cell(row, *NAME_COLUMNS):
                rows[stem(name)] = row
    return rows


def _label_names(folder: Path) -> dict[int, str]:
    path = next((folder / name for name in ("labels.json", "label_names.json") if (folder / name).exists()), None)
    if path is None:
        return {}
    try:
        return {int(value): str(name) for value, name in read_json(path).items()}
    except (TypeError, ValueError) as error:
        raise CaseError(f'{path.name} must be like {{"1": "liver"}}: values of the label map and names.') from error
