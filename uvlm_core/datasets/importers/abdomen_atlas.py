"""AbdomenAtlas 3.0 (RadGPT): both layouts, reports in four wordings, splits by files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import cell, find_column, plain, read_rows
from uvlm_core.datasets.layout import ImportOptions, below, in_years, is_not_given, relative, sex_of, stem
from uvlm_core.datasets.one_row import one_row_each, told_of
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError

KIND, TITLE = "abdomen-atlas", "AbdomenAtlas 3.0"
NAME = re.compile(r"BDMAP_\d+")
REPORTS = ("structured", "narrative", "fusion structured", "fusion narrative")
COUNTED = {"Liver lesion": "liver", "Kidney lesion": "kidney", "Pancreas lesion": "pancrea"}
MEASURE = re.compile(r"(number|count|instances|volume)")


def clues(folder: Path) -> list[str]:
    """Why the folder is AbdomenAtlas."""
    found = [f"there is {path.name}" for path in _tables(folder)]
    scans = next((path for path in _scan_folders(folder)), None)
    return found + ([f"there are folders such as {scans.name}"] if scans is not None else [])


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every BDMAP folder with a scan."""
    if options.report not in REPORTS:
        raise CaseError(f"AbdomenAtlas has the reports {', '.join(REPORTS)}; found '{options.report}'.")
    columns = {plain(f"{options.report} report"), "sex", "gender", "age"}
    rows, wrong = one_row_each(
        [(path.name, read_rows(path, ("BDMAP ID",))) for path in _tables(folder)], lambda row: row["BDMAP ID"].strip(),
        lambda name: plain(name) in columns or any(_counts(name, word) for word in COUNTED.values()))
    splits = _splits(folder, options.ids)
    names = set()
    for scan in _scan_folders(folder):
        name = scan.name
        names.add(name)
        case = Case(name, relative(scan / "ct.nii.gz", folder), name, split=splits.get(name, ""),
                    licence="CC-BY-NC-SA-4.0", masks=_masks(folder, scan))
        if not (scan / "ct.nii.gz").exists():
            yield Problem("error", name, "no scan", "its folder has no ct.nii.gz", case.image,
                          "Download it, or leave it out with --on-error skip.")
            continue
        if not case.masks:
            yield Problem("warning", name, "no mask", "it has no segmentations")
        yield from told_of(wrong, name, name)
        yield from _fill(case, rows.get(name), options.report)
        yield case
    if not names:
        raise CaseError(f"{folder} has no scan such as image_only/BDMAP_00000001/ct.nii.gz or "
                        "BDMAP_00000001/ct.nii.gz. Choose the folder that holds them.")
    if absent := sorted(set(rows) - names):
        yield Problem("note", "", "not on disk",
                      f"{len(absent)} scans of the table are not on disk: {first_of(absent)}",
                      advice="Nothing to do where only a part was downloaded.")


def _fill(case: Case, row: dict | None, report: str) -> Iterator[Problem]:
    if row is None:
        yield Problem("warning", case.case_id, "no report", "the table has no row for it")
        return
    text = cell(row, f"{report} report")
    if find_column(row, f"{report} report") is None:
        yield Problem("warning", case.case_id, "no report", f"the table has no column '{report} report'")
    elif is_not_given(text):
        yield Problem("warning", case.case_id, "no report", f"its '{report} report' is empty")
    else:
        case.report = "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
    case.sex, case.age = sex_of(cell(row, "sex", "gender")), in_years(cell(row, "age"))
    for finding, word in COUNTED.items():
        values = [value for name in row if _counts(name, word) and (value := _number(row[name])) is not None]
        if values:
            case.findings[finding] = int(max(values) > 0)


def _counts(column: str, word: str) -> bool:
    """Whether a column counts or measures the lesions of an organ."""
    name = column.lower()
    return bool(word in name and re.search("lesion|tumou?r", name) and MEASURE.search(name))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _tables(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.csv") if "abdomenatlas" in path.name.lower().replace("_", ""))


def _scan_folders(folder: Path) -> list[Path]:
    """Folders of the scans: image_only/ of the distribution, or RadGPT's own, where scan and masks share one."""
    base = folder / "image_only"
    return sorted(path for path in (base if base.is_dir() else folder).glob("BDMAP_*")
                  if path.is_dir() and NAME.fullmatch(path.name))


def _masks(folder: Path, scan: Path) -> dict[str, list[str]]:
    apart = folder / "mask_only" / scan.name / "segmentations"
    return {stem(path.name): [relative(path, folder)] for path in below(apart if apart.is_dir() else
                                                                        scan / "segmentations", "*")}


def _splits(folder: Path, ids: str) -> dict[str, str]:
    """Name -> train or test, of TrainTestIDS/IID_train.csv and its like; any column may hold the names."""
    splits = {}
    for part in ("train", "test"):
        path = folder / "TrainTestIDS" / f"{ids}_{part}.csv"
        if path.exists():
            splits |= dict.fromkeys(NAME.findall(path.read_text("utf-8", errors="replace")), part)
    return splits
