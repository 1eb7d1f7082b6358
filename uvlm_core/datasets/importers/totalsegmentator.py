"""TotalSegmentator: a folder per scan with one mask per structure; meta.csv is separated by semicolons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import cell, plain, read_rows
from uvlm_core.datasets.layout import ImportOptions, below, in_years, relative, sex_of, split_of, stem
from uvlm_core.datasets.one_row import one_row_each, told_of
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import SPLITS, Case
from uvlm_core.errors import CaseError

KIND, TITLE = "totalsegmentator", "TotalSegmentator"
USED = ("split", "gender", "sex", "age")  # columns


def clues(folder: Path) -> list[str]:
    """Why the folder is TotalSegmentator's."""
    scans = [scan for scan in _scan_folders(folder) if (scan / "segmentations").is_dir()]
    if not scans or scans[0].name.startswith("BDMAP_"):
        return []
    found = [f"{scans[0].name}/ holds ct.nii.gz and segmentations/"]
    return found + (["there is meta.csv"] if (folder / "meta.csv").exists() else [])


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every folder with a scan."""
    table = folder / "meta.csv"
    tables = [(table.name, read_rows(table, ("image_id",)))] if table.exists() else []
    rows, wrong = one_row_each(tables, lambda row: row["image_id"].strip(), lambda column: plain(column) in USED)
    if not table.exists():
        yield Problem("warning", "", "no table", "there is no meta.csv: age, sex and split are not known")
    scans = _scan_folders(folder)
    if not scans:
        raise CaseError(f"{folder} has no folder with ct.nii.gz and segmentations/, such as s0000/. "
                        "Choose the folder that holds them.")
    for scan in scans:
        row = rows.get(scan.name, {})
        split = split_of(cell(row, "split"))
        if not (scan / "ct.nii.gz").exists():
            yield Problem("error", scan.name, "no scan", "its folder has no ct.nii.gz", f"{scan.name}/ct.nii.gz",
                          "Download it, or leave it out with --on-error skip.")
            continue
        yield from told_of(wrong, scan.name, scan.name)
        if split and split not in SPLITS:
            yield Problem("warning", scan.name, "split", f"meta.csv has the split '{split}'; none was taken")
        masks = {stem(path.name): [relative(path, folder)] for path in below(scan / "segmentations", "*")}
        if not masks:
            yield Problem("warning", scan.name, "no mask", "its segmentations/ is empty")
        sex, age = sex_of(cell(row, "gender", "sex")), in_years(cell(row, "age"))
        yield Case(scan.name, relative(scan / "ct.nii.gz", folder), scan.name, masks=masks, licence="CC-BY-4.0",
                   split=split if split in SPLITS else "", sex=sex, age=age)


def _scan_folders(folder: Path) -> list[Path]:
    return sorted({path.parent for name in ("segmentations", "ct.nii.gz") for path in folder.glob(f"*/{name}")})
