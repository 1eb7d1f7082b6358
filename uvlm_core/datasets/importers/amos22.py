"""AMOS22: nnU-Net's folders with lists in dataset.json; from number 500 on the scans are MR, which are left out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.importers.nnunet import label_names, labelled_pairs
from uvlm_core.datasets.layout import ImportOptions, read_json
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError

KIND, TITLE = "amos22", "AMOS22"
FIRST_MR = 500


def clues(folder: Path) -> list[str]:
    """Why the folder is AMOS22."""
    if not (folder / "imagesTr").is_dir():
        return []
    found = []
    try:
        if "amos" in str(read_json(folder / "dataset.json").get("name", "")).lower():
            found.append("dataset.json names AMOS")
    except CaseError:
        pass
    if any((folder / "imagesTr").glob("amos_*")):
        found.append("imagesTr/ has files named amos_")
    return [*found, "there is imagesTr/"] if found else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every CT."""
    left_out = []
    for row in labelled_pairs(folder, label_names(read_json(folder / "dataset.json"))):
        match = re.fullmatch(r"amos_(\d+)", row.case_id)
        if match and int(match[1]) > FIRST_MR:
            left_out.append(row.case_id)
            continue
        if isinstance(row, Case):
            row.licence = "CC-BY-4.0"
        yield row
    if left_out:
        yield Problem("note", "", "MR", f"{len(left_out)} MR scans were left out: {first_of(left_out)}")
