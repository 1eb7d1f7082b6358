"""RadGenome-ChestCT: region masks and sentences by region for CT-RATE's volumes; the scans are CT-RATE's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.csv_file import read_rows
from uvlm_core.datasets.layout import ImportOptions, below, read_report, relative, stem
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError

KIND, TITLE = "radgenome-chestct", "RadGenome-ChestCT"
PARTS = {"train": ("train",), "valid": ("valid", "validation")}
SPLIT_OF = {"train": "train", "valid": "validation"}


def clues(folder: Path) -> list[str]:
    """Why the folder is RadGenome-ChestCT."""
    base = _base(folder)
    names = ("train_region_mask", "valid_region_mask", "radgenome_files")
    return [f"there is {name}/" for name in names if (base / name).is_dir()]


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every volume with masks or sentences."""
    base = _base(folder)
    masks = {part: _masks(base / f"{part}_region_mask", folder) for part in PARTS}
    sentences = {part: _sentences(base / "radgenome_files", names) for part, names in PARTS.items()}
    if not any(masks.values()) and not any(sentences.values()):
        raise CaseError(f"{base} has neither train_region_mask/ or valid_region_mask/ nor radgenome_files/. "
                        "Choose the folder that holds them.")
    for part in PARTS:
        for name in sorted({*masks[part], *sentences[part]}):
            rows = sentences[part].get(name, [])
            case = Case(name, patient_id=name.rsplit("_", 2)[0], scan_id=name.rsplit("_", 1)[0], split=SPLIT_OF[part],
                        masks=masks[part].get(name, {}), licence="CC-BY-NC-SA-4.0")
            if rows:
                case.report = read_report(" ".join(dict.fromkeys(text for _, text in rows)))
                case.extra["region_sentences"] = json.dumps(rows, ensure_ascii=False)
            else:
                yield Problem("warning", name, "no report", "the region reports have no sentence of it")
            if not case.masks:
                yield Problem("warning", name, "no mask", "there is no folder of region masks of it")
            yield case


def _base(folder: Path) -> Path:
    return folder / "dataset" if (folder / "dataset").is_dir() else folder


def _masks(folder: Path, root: Path) -> dict[str, dict[str, list[str]]]:
    found: dict[str, dict[str, list[str]]] = {}
    for path in below(folder, "seg_*/*") if folder.is_dir() else ():
        name = stem(path.parent.name.removeprefix("seg_"))
        found.setdefault(name, {})[stem(path.name)] = [relative(path, root)]
    return found


def _sentences(folder: Path, names: tuple[str, ...]) -> dict[str, list[tuple[str, str]]]:
    """Volume -> [(region, sentence)] in the order of the file; an empty Anatomy means the whole scan."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        path = folder / f"{name}_region_report.csv"
        if path.exists():
            for row in read_rows(path, ("Volumename", "Anatomy", "Sentence")):
                region, text = row["Anatomy"].strip() or "whole", row["Sentence"].strip()
                if text:
                    found.setdefault(stem(row["Volumename"].strip()), []).append((region, text))
    return found
