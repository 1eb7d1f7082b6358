"""ReXGroundingCT: masks (F, H, W, D) of the findings that a sentence tells; scans and reports are CT-RATE's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.layout import ImportOptions, below, read_json, relative, stem
from uvlm_core.datasets.problems import Problem, first_of
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError
from uvlm_core.labels import finding_named
from uvlm_core.report.labeler import label_sentence

KIND, TITLE = "rexgroundingct", "ReXGroundingCT"
LISTS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation", "test": "test"}
# the categories of the data set (its own scheme of findings) that are one of ours; the others are told from the text
CATEGORIES = {"1a": "Peribronchial thickening", "1b": "Bronchiectasis", "1c": "Emphysema",
              "1d": "Interlobular septal thickening", "2c": "Lung opacity", "2d": "Lung nodule"}


def clues(folder: Path) -> list[str]:
    """Why the folder is ReXGroundingCT."""
    try:
        content = read_json(folder / "dataset.json")
    except CaseError:
        return []
    entry = next((row for name in LISTS for row in _list(content.get(name)) if isinstance(row, dict)), {})
    return ["the entries of dataset.json have findings and categories"] if "findings" in entry else []


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every entry of dataset.json."""
    content = read_json(folder / "dataset.json")
    lists = {name: rows for name, rows in content.items() if name in LISTS and isinstance(rows, list)}
    if not lists:
        raise CaseError(f"dataset.json has {', '.join(content)}; lists named train, val or test are expected.")
    files = _files(folder)
    for name, rows in lists.items():
        for row in rows:
            yield from _case(row, LISTS[name], files, folder)


def _list(value: object) -> list:
    return value if isinstance(value, list) else []


def _case(row: object, split: str, files: dict, folder: Path) -> Iterator[Case | Problem]:
    name = stem(str(row.get("name", ""))) if isinstance(row, dict) else ""
    if not name or not isinstance(row.get("findings", {}), dict):
        yield Problem("error", name, "entry", f"an entry of dataset.json has no name or findings: {str(row)[:80]}",
                      "dataset.json", "Correct it, or leave it out with --on-error skip.")
        return
    if wrong := [number for number in row.get("findings", {}) if not number.isdecimal()]:
        yield Problem("error", name, "entry", f"its findings in dataset.json have the numbers {first_of(wrong)}; "
                      "expected are 0, 1, …, the places of their masks", "dataset.json",
                      "Correct it, or leave it out with --on-error skip.")
        return
    texts = {int(number): str(text) for number, text in row.get("findings", {}).items()}
    case = Case(name, patient_id=name.rsplit("_", 2)[0], scan_id=name.rsplit("_", 1)[0], split=split,
                licence="CC-BY-NC-SA-4.0")
    case.extra = {"grounded_sentences": json.dumps(texts, ensure_ascii=False)}
    if ("image", name) in files:
        case.image = relative(files["image", name], folder)
    mask = files.get(("mask", name))
    if mask is None:
        yield Problem("error", name, "no mask", "there is no mask file of this name",
                      advice="Download it, or leave it out with --on-error skip.")
        return
    for number, text in sorted(texts.items()):
        label = label_of(text, _category(row, number))
        structure = label or f"finding_{_category(row, number) or 'other'}"
        case.masks.setdefault(structure, []).append(f"{relative(mask, folder)}#{number}")
        if finding := finding_of(text, _category(row, number)):
            case.findings[finding] = 1
    # of each finding of a training scan up to three lesions are drawn, so what is not drawn says nothing
    case.known_labels = [] if split == "train" else sorted(case.masks)
    yield case


def finding_of(text: str, category: str) -> str | None:
    """Our finding of a sentence: that of its category, or what the text says is present."""
    if category in CATEGORIES:
        return CATEGORIES[category]
    said = [mention.finding for mention in label_sentence(text) if mention.state != "absent"]
    return said[0] if said else None


def label_of(text: str, category: str) -> str | None:
    """Our label of a sentence's mask; None where we have no mask of such a finding."""
    finding = finding_of(text, category)
    label = finding_named(finding).label if finding else None
    return label if label != "heart" else None


def _category(row: dict, number: int) -> str:
    """Categories come as {"0": "2d"} or ["2d"]."""
    categories = row.get("categories") or {}
    if isinstance(categories, list):
        return str(categories[number]) if number < len(categories) else ""
    return str(categories.get(str(number), "")) if isinstance(categories, dict) else ""


def _files(folder: Path) -> dict[tuple[str, str], Path]:
    """("mask" or "image", name) -> file, told by the names of their folders."""
    found = {}
    for path in below(folder):
        parts = relative(path, folder).lower()
        kind = "image" if parts.startswith("image") or "/image" in parts else "mask"
        found[kind, stem(path.name)] = path
    return found
