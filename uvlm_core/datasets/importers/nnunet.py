"""nnU-Net v2 (and v1): imagesTr/case_0000.nii.gz, labelsTr/case.nii.gz, dataset.json."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from uvlm_core.datasets.layout import ImportOptions, read_json, relative
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import Case
from uvlm_core.errors import CaseError

KIND, TITLE = "nnunet", "nnU-Net"
EXPECTED_LABELS = 'expected are names and values such as {"background": 0, "liver": 1}. Correct it.'
PAIRS = (("imagesTr", "labelsTr", ""), ("imagesVa", "labelsVa", "validation"), ("imagesTs", "labelsTs", "test"))


def clues(folder: Path) -> list[str]:
    """Why the folder is one of nnU-Net's."""
    if not (folder / "imagesTr").is_dir() or not (folder / "dataset.json").exists():
        return []
    found = ["there are imagesTr/ and dataset.json"]
    return found + (["imagesTr/ has files named case_0000"] if any((folder / "imagesTr").glob("*_0000.*")) else [])


def cases(folder: Path, options: ImportOptions) -> Iterator[Case | Problem]:
    """Every scan of imagesTr and imagesTs."""
    content = read_json(folder / "dataset.json")
    channels = content.get("channel_names") or content.get("modality") or {}
    if not isinstance(channels, dict):
        raise CaseError(f"dataset.json names its channels by {str(channels)[:60]}; expected are numbers and "
                        'names such as {"0": "CT"}. Correct it.')
    first = str(channels.get("0", "CT"))
    if first.lower() not in ("ct", "hu", ""):
        yield Problem("error", "", "no CT", f"channel 0 is '{first}'; CT is expected",
                      "dataset.json", "UVLM reads CT in HU. Leave this data set out.")
    yield from labelled_pairs(folder, label_names(content), str(content.get("file_ending") or ".nii.gz"))


def labelled_pairs(folder: Path, names: dict[int, str], ending: str = ".nii.gz") -> Iterator[Case | Problem]:
    """Scans and label maps of a folder in nnU-Net's layout; further channels than 0000 are left out."""
    folds = _folds(folder)
    count = 0
    for images, labels, split in PAIRS:
        paths = [path for path in sorted((folder / images).glob(f"*{ending}")) if not path.name.startswith(".")]
        numbered = any(path.name.endswith(f"_0000{ending}") for path in paths)  # else they are case numbers
        for path in paths:
            name = path.name[: -len(ending)]
            if numbered and re.search(r"_\d{4}$", name):
                if not name.endswith("_0000"):
                    continue
                name = name.removesuffix("_0000")
            count += 1
            label = folder / labels / f"{name}{ending}"
            case = Case(name, relative(path, folder), name, split=split, fold=folds.get(name))
            if label.exists():
                case.labels, case.label_names = relative(label, folder), names
            elif split != "test":
                yield Problem("error", name, "no mask", f"there is no label map {labels}/{name}{ending}",
                              advice="Copy it, or leave the scan out with --on-error skip.")
                continue
            yield case
    if not count:
        raise CaseError(f"{folder} has no scans such as imagesTr/case_0000{ending}. Choose the folder of one data set.")


def label_names(content: dict) -> dict[int, str]:
    """value -> name of a dataset.json of version 2 ("liver": 1; regions as lists) or 1 ("1": "liver").

    Of a region's values each gets the name of the smallest region that holds it.
    """
    names: dict[int, tuple[int, str]] = {}
    listed = content.get("labels") or {}
    if not isinstance(listed, dict):
        raise CaseError(f"dataset.json has the labels {str(listed)[:60]}; {EXPECTED_LABELS}")
    for key, value in listed.items():
        if isinstance(value, str):  # version 1
            key, value = value, key
        values = _values(key, value)
        for number in values:
            if number and (number not in names or len(values) < names[number][0]):
                names[number] = (len(values), str(key))
    if not names:
        raise CaseError("dataset.json has no labels such as {\"background\": 0, \"liver\": 1}. Add them.")
    return {number: name for number, (_, name) in sorted(names.items())}


def _values(name: str, value: object) -> list[int]:
    """The values of one label: a number, or the numbers of a region."""
    try:
        return [int(number) for number in (value if isinstance(value, list) else [value])]
    except (TypeError, ValueError, OverflowError) as error:
        raise CaseError(f"dataset.json has the label '{name}' with the value {str(value)[:60]!r}; "
                        f"{EXPECTED_LABELS}") from error


def _folds(folder: Path) -> dict[str, int]:
    """Name -> fold in which it is held out, of splits_final.json where nnU-Net has written one."""
    path = folder / "splits_final.json"
    if not path.exists():
        return {}
    splits = read_json(path, list)
    if not all(isinstance(split, dict) and isinstance(split.get("val", []), list) for split in splits):
        raise CaseError(f"{path.name} has {str(splits)[:60]}; expected are folds such as "
                        '{"train": ["case", …], "val": ["case", …]}. Correct it, or move it away: the folds are then '
                        "not known.")
    return {str(name): number for number, split in enumerate(splits) for name in split.get("val", [])}
