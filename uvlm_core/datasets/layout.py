"""What all importers need: names of files, and what the user chose."""

from __future__ import annotations

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from uvlm_core.datasets.csv_file import is_unreadable
from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import CASE_ID, Case
from uvlm_core.errors import CaseError

SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")


@dataclass(frozen=True)
class ImportOptions:
    """`report`: which of several texts (AbdomenAtlas); `ids`: which of several splits (AbdomenAtlas: IID or OOD);
    `drafts`: unsigned texts of kept cases too; `mapping`: names of finding columns."""

    report: str = "structured"
    ids: str = "IID"
    drafts: bool = False
    mapping: Mapping = field(default_factory=Mapping)


def stem(name: str) -> str:
    """File name without a suffix of a scan: "a/b.c.nii.gz" -> "b.c"."""
    name = name.replace("\\", "/").rsplit("/", 1)[-1]
    return next((name[: -len(suffix)] for suffix in SUFFIXES if name.lower().endswith(suffix)), name)


def is_scan_file(path: Path) -> bool:
    """Whether a path is named like a scan or mask that can be read; hidden files of other systems are not."""
    return path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")


def walked(folder: Path) -> Iterator[tuple[Path, list[str]]]:
    """A folder and all below it, each with the names of its files.

    Linked folders are entered after the others, and no folder twice: links may lead in circles.
    """
    seen, waiting = set(), [folder]
    while waiting:
        for place, folders, names in os.walk(waiting.pop(0)):
            if os.path.realpath(place) in seen:
                folders.clear()
                continue
            seen.add(os.path.realpath(place))
            waiting += [path for name in sorted(folders) if (path := Path(place, name)).is_symlink()]
            yield Path(place), sorted(names)


def below(folder: Path, pattern: str | None = None) -> list[Path]:
    """Scan and mask files below a folder at any depth, or of the paths of a pattern; sorted by path."""
    paths = folder.glob(pattern) if pattern else (place / name for place, names in walked(folder) for name in names)
    return sorted(path for path in paths if is_scan_file(path))


def relative(path: Path, folder: Path) -> str:
    """Path of a file as it stands in the table."""
    return path.relative_to(folder).as_posix()


def as_case_id(text: str) -> str:
    """The text with everything that a case_id may not have replaced by "_", and then with a short hash of the text.

    So "Müller" and "Möller" stay two. Without a hash stays what needed no replacing, and "p1/ct", which is "p1_ct".
    """
    text = unicodedata.normalize("NFC", text)  # a Mac writes "ü" in file names as two letters
    flat = text.replace("/", "_")
    if CASE_ID.fullmatch(flat):
        return flat
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", flat).strip("_").lstrip(".") or "case"
    return f"{plain}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:8]}"


def read_json(path: Path, kind: type = dict):
    """The content of a JSON file. Raises CaseError: no such file, no JSON, another kind of content."""
    try:
        value = json.loads(path.read_text("utf-8-sig"))
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    except ValueError as error:
        raise CaseError(f"{path.name} is not sound JSON ({error}). Copy or download it again.") from error
    if not isinstance(value, kind):
        raise CaseError(f"{path.name} holds {type(value).__name__}; expected {kind.__name__}.")
    return value


def read_report(findings: str, impression: str = "") -> str:
    """One text of its two parts; parts that are empty or "Not given." are left out."""
    parts = [("Findings", findings), ("Impression", impression)]
    given = [(title, " ".join(text.split())) for title, text in parts if not is_not_given(text)]
    return " ".join(f"{title}: {text}" for title, text in given)


def take_report(case: Case, text: str, file: str = "") -> Iterator[Problem]:
    """Makes a text the report of a case, unless it has letters that cannot be read."""
    case.report = "" if is_unreadable(text) else text
    if case.report != text:
        yield Problem("error", case.case_id, "text", "its text has letters that cannot be read; expected is UTF-8, "
                      "UTF-16 with its mark at the start, or cp1252", file,
                      "Save it as UTF-8, or go on without it with --on-error skip.")


def is_not_given(text: str) -> bool:
    """Whether a cell says that there is no text."""
    return text.strip().strip(".").strip().lower() in ("", "not given", "nan", "none", "n/a")


def in_years(text: str) -> float | None:
    """Age of a cell: "054Y" (DICOM), "54" or "54.0"; None where it says nothing that can be used."""
    match = re.fullmatch(r"0*(\d{1,3}(?:\.\d+)?)\s*([YMWD]?)", text.strip(), re.IGNORECASE)
    if not match:
        return None
    years = float(match[1]) / {"": 1, "Y": 1, "M": 12, "W": 52, "D": 365}[match[2].upper()]
    return round(years, 2) if years <= 120 else None


def split_of(text: str) -> str:
    """The split of a cell: also of "val" and "valid"; what is none stays as it is, in small letters."""
    word = text.strip().lower()
    return {"val": "validation", "valid": "validation"}.get(word, word)


def sex_of(text: str) -> str:
    """F, M or "" of a cell."""
    return {"f": "F", "female": "F", "w": "F", "m": "M", "male": "M"}.get(text.strip().lower(), "")
