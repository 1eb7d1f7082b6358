"""CT-RATE: one row per reconstruction; report, labels and patient come from its name train_1_a_1."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from uvlm_core.datasets.csv_file import cell, plain, read_rows
from uvlm_core.datasets.layout import ImportOptions, below, in_years, read_report, relative, sex_of, stem
from uvlm_core.datasets.one_row import Contradictions, Rows, one_row_each, told_of
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import Case, zero_or_one
from uvlm_core.errors import CaseError
from uvlm_core.labels import findings

KIND, TITLE = "ct-rate", "CT-RATE"
VOLUME = re.compile(r"(train|valid)_\d+_[a-z]+_\d+")
SPLIT_OF = {"train": "train", "valid": "validation"}
LICENCE = "CC-BY-NC-SA-4.0"
TEXTS = ("Findings_EN", "Impressions_EN")
METADATA = ("XYSpacing", "ZSpacing", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept", "PatientSex",
            "PatientAge")


def clues(folder: Path) -> list[str]:
    """Why the folder is CT-RATE."""
    base = _base(folder)
    found = [f"there is {name}/" for name in ("train_fixed", "valid_fixed", "radiology_text_reports",
                                              "multi_abnormality_labels") if (base / name).is_dir()]
    return found if any((base / name).is_dir() for name in _volume_folders()) and len(found) > 1 else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every volume on disk; rows of the tables without one are counted in a note."""
    base = _base(folder)
    volumes = _volumes(base)
    if not volumes:
        raise CaseError(f"{base} has no volume such as train_fixed/train_1/train_1_a/train_1_a_1.nii.gz. "
                        "Choose the folder that holds train_fixed or valid_fixed.")
    excluded = _excluded(base)
    reports, labels, metadata = (_by_volume(base, *where) for where in (
        ("radiology_text_reports", "reports", TEXTS, TEXTS),
        ("multi_abnormality_labels", "labels", (), [finding.name for finding in findings()]),
        ("metadata", "metadata", (), METADATA)))
    for name, path in volumes.items():
        if name in excluded:
            yield Problem("note", name, "excluded", f"no chest CT, named in {excluded[name]}; left out")
            continue
        case = Case(name, relative(path, folder), name.rsplit("_", 2)[0], name.rsplit("_", 1)[0], licence=LICENCE,
                    split=SPLIT_OF[name.split("_")[0]])
        rows = []
        for (table, wrong), key in ((reports, _of(reports[0], name)), (labels, _of(labels[0], name)), (metadata, name)):
            yield from told_of(wrong, key, name)
            rows.append(table.get(key))
        yield from _fill(case, *rows)
        yield case
    named = {name for table, _ in (reports, labels) for name in table}
    absent = sorted(named - set(volumes))
    if absent:
        yield Problem("note", "", "not on disk", f"{len(absent)} volumes of the tables are not on disk: "
                      f"{first_of(absent)}", advice="Nothing to do where only a part was downloaded.")


def _fill(case: Case, report: dict | None, labels: dict | None, metadata: dict | None) -> Iterator[Problem]:
    if report is None:
        yield Problem("warning", case.case_id, "no report", "the tables of reports have no row for it")
    else:
        case.report = read_report(cell(report, "Findings_EN"), cell(report, "Impressions_EN"))
        if not case.report:
            yield Problem("warning", case.case_id, "no report", "its report is empty or \"Not given.\"")
    if labels is None:
        yield Problem("warning", case.case_id, "no labels", "the tables of labels have no row for it")
    else:
        for finding in findings():
            try:
                if value := cell(labels, finding.name):
                    case.findings[finding.name] = zero_or_one(value, finding.name)
            except CaseError as error:
                yield Problem("error", case.case_id, "label", str(error), advice="Correct it, or leave it out with "
                              "--on-error skip: the finding is then not known.")
    if metadata is not None:
        yield from _header_values(case, metadata)


def _header_values(case: Case, row: dict) -> Iterator[Problem]:
    """Spacing, direction and rescale for volumes whose header is blank (the older release)."""
    try:
        in_plane, between = _list(cell(row, "XYSpacing")), _list(cell(row, "ZSpacing"))
        if in_plane and between:
            case.spacing = (between[0], in_plane[-1], in_plane[0])
        direction = _list(cell(row, "ImageOrientationPatient"))
        case.direction = tuple(direction) if len(direction) == 6 else None
        rescale = _list(cell(row, "RescaleSlope")) + _list(cell(row, "RescaleIntercept"))
        case.rescale = tuple(rescale) if len(rescale) == 2 else None
    except ValueError as error:
        yield Problem("warning", case.case_id, "metadata", f"its row of the metadata cannot be read ({error}); it is "
                      "used where the volume's header is blank")
    case.sex, case.age = sex_of(cell(row, "PatientSex")), in_years(cell(row, "PatientAge"))


def _list(text: str) -> list[float]:
    """Numbers of a cell such as "0.75", "[0.75, 0.75]" or "" ."""
    numbers = [float(word) for word in text.strip("[]() ").replace(",", " ").split()]
    if not all(abs(number) < 1e6 for number in numbers):
        raise ValueError(f"'{text}' is no plausible number")
    return numbers


def _base(folder: Path) -> Path:
    return folder / "dataset" if (folder / "dataset").is_dir() else folder


def _volume_folders() -> tuple[str, ...]:
    return "train", "valid", "train_fixed", "valid_fixed"


def _volumes(base: Path) -> dict[str, Path]:
    """Volume name -> file, sorted; of two releases the fixed one, whose headers are whole."""
    found = {stem(path.name): path for name in _volume_folders() for path in below(base / name, "*/*/*")
             if VOLUME.fullmatch(stem(path.name))}
    return {name: found[name] for name in sorted(found, key=_in_order)}


def _in_order(name: str) -> tuple:
    split, patient, scan, number = name.split("_")
    return split, int(patient), scan, int(number)


def _by_volume(base: Path, folder: str, word: str, needed: Sequence[str],
               used: Sequence[str]) -> tuple[Rows, Contradictions]:
    """Volume name -> row of the tables of a folder; "valid" and "validation" are both met among their names."""
    paths = sorted((base / folder).glob("*.csv")) if (base / folder).is_dir() else ()
    columns = {plain(name) for name in used}
    return one_row_each([(path.name, read_rows(path, ("VolumeName", *needed))) for path in paths
                         if word in path.name.lower()],
                        lambda row: stem(row["VolumeName"].strip()), lambda name: plain(name) in columns)


def _of(rows: Rows, name: str) -> str:
    """The volume whose row tells of this one: its own, else that of another reconstruction of the same scan."""
    scan = name.rsplit("_", 1)[0]
    return next((volume for volume in (name, f"{scan}_1", f"{scan}_2") if volume in rows), name)


def _excluded(base: Path) -> dict[str, str]:
    """Volume name -> list that excludes it; the distribution has the lists in metadata/, older copies elsewhere."""
    names = {}
    for folder in (base / "metadata", base, base.parent):
        for path in folder.glob("no_chest_*.txt"):
            names |= {stem(line.strip()): path.name for line in path.read_text("utf-8").splitlines() if line.strip()}
    return names
