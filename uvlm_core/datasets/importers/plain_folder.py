"""A folder of own scans: files or DICOM folders, with masks, texts and a table where they are named alike.

    scan.nii.gz, scan_seg.nii.gz, scan.txt        side by side, all in one folder or each patient's in one, or
    images/scan.nii.gz, labels/scan.nii.gz, reports/scan.txt
    labels.json ({"1": "liver"}) and any .csv with a column case, file or image (report, patient, split, findings …)
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import cell, decoded, find_column, plain, read_rows
from uvlm_core.datasets.importers.beside import Place, belonging, place_of
from uvlm_core.datasets.layout import (
    ImportOptions,
    as_case_id,
    below,
    in_years,
    read_json,
    relative,
    sex_of,
    split_of,
    stem,
    take_report,
    walked,
)
from uvlm_core.datasets.one_row import Contradictions, Rows, one_row_each, told_of
from uvlm_core.datasets.problems import COLUMNS as PROBLEM_COLUMNS
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import COLUMNS as TABLE_COLUMNS
from uvlm_core.datasets.table import SPLITS, Case, zero_or_one
from uvlm_core.errors import CaseError

KIND, TITLE = "plain-folder", "a plain folder"
MASK = re.compile(r"[-_. ](seg|segmentation|label|labels|mask|masks)$", re.IGNORECASE)
MASK_FOLDER = re.compile(r"^(seg|segmentation|label|mask|labelsTr)s?$", re.IGNORECASE)
DICOM_SUFFIXES = (".dcm", ".ima")
NO_SUFFIX = re.compile(r"[^.]+|.*\.\d+")  # IM0001, or a UID: other names of DICOM files
NAME_COLUMNS = ("case_id", "case", "file", "filename", "image", "scan", "id", "name", "volumename")
READ_COLUMNS = (("patient_id", "patient", "subject"), ("report", "text"), ("sex", "gender"), ("age",), ("split",))


def clues(folder: Path) -> list[str]:
    """Any folder with scans; every other importer is asked first."""
    found = _scans(folder, _dicom_folders(folder)[0])
    return [f"there are {len(found)} scans, for example {next(iter(found.values())).name}"] if found else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every scan file and DICOM folder."""
    dicom, mixed = _dicom_folders(folder)
    scans = _scans(folder, dicom)
    if not scans:
        raise CaseError(f"{folder} has no scans: no NIfTI, NRRD or MetaImage files and no folders of DICOM files.")
    for path in mixed:
        yield Problem("warning", "", "DICOM files", f"{path.name} has DICOM files beside folders of DICOM files; its "
                      "own were left out", relative(path, folder), "Move them into a folder of their own.")
    masks, texts = _masks(folder), _texts(folder)
    rows, wrong, unread = _rows(folder, options)
    yield from unread
    places = {name: _place(path, folder) for name, path in scans.items()}
    mask_of, text_of, row_of = (belonging(places.values(), others) for others in (masks, texts, rows))
    names = _label_names(folder)
    for name, path in scans.items():
        place = places[name]
        case = Case(as_case_id(name), relative(path, folder))
        if place in text_of:
            path = texts[text_of[place]]
            yield from take_report(case, decoded(path.read_bytes()).strip(), relative(path, folder))
        if place in mask_of:
            case.labels, case.label_names = relative(masks[mask_of[place]][-1], folder), names
            if not names:
                yield Problem("warning", case.case_id, "label names", "nothing names the values of its label map",
                              case.labels, 'Put labels.json with {"1": "liver", …} into the folder.')
        yield from told_of(wrong, row_of.get(place), case.case_id)
        yield from _fill(case, rows.get(row_of.get(place), {}), options)
        if not case.report:
            yield Problem("note", case.case_id, "no report", "no text belongs to it")
        yield case
    taken = {masks[place][-1] for place in mask_of.values()}
    lost = [relative(path, folder) for paths in masks.values() for path in paths if path not in taken]
    yield from _lost("masks", lost, "to no scan, or to one that has another")
    lost = ["/".join([*parents, name]) for parents, name in set(rows) - set(row_of.values())]
    yield from _lost("rows of the tables", lost, "to no scan")


def _lost(what: str, names: list[str], where: str) -> Iterator[Problem]:
    if names:
        yield Problem("warning", "", "no scan", f"{len(names)} {what} belong {where}: {first_of(sorted(names))}")


def _fill(case: Case, row: dict, options: ImportOptions) -> Iterator[Problem]:
    case.patient_id, report, sex, age, split = (cell(row, *names) for names in READ_COLUMNS)
    case.report = report or case.report
    case.sex, case.age = sex_of(sex), in_years(age)
    if split_of(split) in SPLITS:
        case.split = split_of(split)
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


def _scans(folder: Path, dicom: list[Path]) -> dict[str, Path]:
    """Name -> scan file or DICOM folder; names that occur twice are told apart by their folders."""
    found = [path for path in below(folder) if not _is_mask(path, folder)] + dicom
    names = [stem(path.name) for path in found]
    count = Counter(names)
    return {name if count[name] == 1 else relative(path, folder): path
            for name, path in sorted(zip(names, found, strict=True))}


def _dicom_folders(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders with DICOM files, the chosen one included; and those that also hold such folders, which are no scan."""
    found = [place for place, names in walked(folder) if _has_dicom(place, names)]
    around = {parent for path in found for parent in path.parents}
    return sorted(set(found) - around), sorted(set(found) & around)


def _has_dicom(place: Path, names: list[str]) -> bool:
    """Told by the suffix; of files without one, the beginning of the first and the last is read."""
    names = sorted(name for name in names if not name.startswith(".") and name.upper() != "DICOMDIR")
    if any(name.lower().endswith(DICOM_SUFFIXES) for name in names):
        return True
    bare = [name for name in names if NO_SUFFIX.fullmatch(name)]
    return any(_is_dicom(place / name) for name in {*bare[:1], *bare[-1:]})


def _is_dicom(path: Path) -> bool:
    from uvlm_core.volumes.dicom_headers import is_dicom

    try:
        return path.is_file() and is_dicom(path)
    except OSError:
        return False


def _place(path: Path, folder: Path) -> Place:
    return place_of(relative(path, folder)) if path != folder else ((), stem(folder.name))


def _masks(folder: Path) -> dict[Place, list[Path]]:
    """Place of the scan that a mask is named after -> its masks."""
    found: dict[Place, list[Path]] = {}
    for path in below(folder):
        if _is_mask(path, folder):
            parents, name = _place(path, folder)
            found.setdefault((parents, MASK.sub("", name)), []).append(path)
    return found


def _is_mask(path: Path, folder: Path) -> bool:
    parents = path.relative_to(folder).parts[:-1]
    return bool(MASK.search(stem(path.name))) or any(MASK_FOLDER.match(part) for part in parents)


def _texts(folder: Path) -> dict[Place, Path]:
    paths = sorted(place / name for place, names in walked(folder) for name in names if name.lower().endswith(".txt"))
    return {(path.relative_to(folder).parts[:-1], path.stem): path for path in paths
            if path.is_file() and path.stat().st_size < 1_000_000}


def _rows(folder: Path, options: ImportOptions) -> tuple[Rows, Contradictions, list[Problem]]:
    """Place of the scan -> row of any table that has a column for it; contradictions; tables that were not used.

    Tables that UVLM wrote here are not read: they say what an earlier import found, which may be repaired by now.
    """
    tables, unread = [], []
    for path in sorted(path for path in folder.iterdir() if path.suffix.lower() == ".csv" and path.is_file()):
        found = read_rows(path)
        columns = list(found[0]) if found else []
        if not found or set(PROBLEM_COLUMNS) <= set(columns):
            continue
        if set(TABLE_COLUMNS) <= set(columns):
            unread.append(Problem("note", "", "table", f"{path.name} is a case table of an earlier import; it was not "
                                  "used", path.name))
        elif find_column(found[0], *NAME_COLUMNS) is None:
            unread.append(Problem("warning", "", "table", f"{path.name} was not used: it has the columns "
                                  f"{first_of(columns, 8)}; one that names the scan is expected: "
                                  f"{', '.join(NAME_COLUMNS)}", path.name, "Rename a column to one of these."))
        else:
            tables.append((path.name, found))
    columns = {plain(name) for names in READ_COLUMNS for name in names}
    rows, wrong = one_row_each(
        tables, lambda row: place_of(name) if (name := cell(row, *NAME_COLUMNS)) else None,
        lambda column: plain(column) in columns or options.mapping.finding(column, KIND) is not None)
    return rows, wrong, unread


def _label_names(folder: Path) -> dict[int, str]:
    path = next((folder / name for name in ("labels.json", "label_names.json") if (folder / name).exists()), None)
    if path is None:
        return {}
    try:
        return {int(value): str(name) for value, name in read_json(path).items()}
    except (TypeError, ValueError) as error:
        raise CaseError(f'{path.name} must be like {{"1": "liver"}}: values of the label map and names.') from error
