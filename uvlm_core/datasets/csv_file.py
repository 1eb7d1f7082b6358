"""CSV files and texts of other people's data sets: comma or semicolon, in whatever encoding, long texts."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Sequence
from pathlib import Path

from uvlm_core.errors import CaseError

LONGEST_CELL = 10_000_000  # a report has a few thousand characters; Python's own limit of 131072 is met now and then
UNREADABLE = "\ufffd"  # stands for what is no letter


def read_rows(path: str | Path, needed: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file; the separator is told from the header.

    Args:
        needed: columns that must be there, found whatever their case and spaces ("volumename" for "VolumeName"); the
            rows have them under the name given here.

    Raises:
        CaseError: missing or unreadable file, a missing column (with those that are there), or rows of other lengths.
    """
    path = Path(path)
    try:
        text = decoded(path.read_bytes())
    except OSError as error:
        raise CaseError(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    if "\0" in text[:4096]:
        raise CaseError(f"{path.name} is no text table. Expected is a CSV file with a header row.")
    if not text.strip():
        raise CaseError(f"{path.name} is empty. Copy or download it again.")
    csv.field_size_limit(LONGEST_CELL)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=_separator(text.partition("\n")[0]))
    try:
        header = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = _renamed(header, needed, path)
        rows = list(reader)
    except csv.Error as error:
        raise CaseError(f"{path.name} is not a sound CSV file: {error} (line {reader.line_num}).") from error
    for number, row in enumerate(rows, 2):
        if None in row:
            raise CaseError(f"{path.name}: row {number} has more cells than the header has columns; "
                            "a separator or quotation mark is missing or too much.")
    return [{name: value or "" for name, value in row.items()} for row in rows]


def find_column(row: dict[str, str], *names: str) -> str | None:
    """The column of a row that has one of the names, whatever their case, spaces and underscores; else None."""
    own = {plain(name): name for name in row}
    return next((own[plain(name)] for name in names if plain(name) in own), None)


def cell(row: dict[str, str], *names: str) -> str:
    """The stripped cell of the first of these columns that is there, "" where none is or it is a word for nothing."""
    column = find_column(row, *names)
    value = (row[column] if column else "").strip()
    return "" if says_nothing(value) else value


def says_nothing(value: str) -> bool:
    """Whether a cell is empty or has a word for nothing."""
    return value.strip().lower() in ("", "nan", "none", "null", "n/a", "na")


def decoded(data: bytes) -> str:
    """The text of a file in UTF-8, in UTF-16 with its mark at the start, or else as Windows writes it (cp1252).

    What is in none of them, or was damaged, has the letter U+FFFD, or "\\0", in it: see `is_unreadable`.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("utf-8", errors="replace")
    damaged = text.count(UNREADABLE)
    whole = len(text) - len(text.encode("ascii", "ignore")) - damaged  # letters of several bytes, rare in cp1252
    return text.removeprefix("\ufeff") if whole >= damaged else data.decode("cp1252", errors="replace")


def is_unreadable(text: str) -> bool:
    """Whether a text has letters that `decoded` could not read."""
    return UNREADABLE in text or "\0" in text


def _separator(header: str) -> str:
    return max(",;\t", key=header.count)


def plain(name: str) -> str:
    """A column's name without what may differ: case, spaces, underscores and the like."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _renamed(header: list[str], needed: Sequence[str], path: Path) -> list[str]:
    own = {plain(name): number for number, name in enumerate(header)}
    missing = [name for name in needed if plain(name) not in own]
    if missing:
        raise CaseError(f"{path.name} lacks the column {', '.join(missing)}; it has {', '.join(header) or 'none'}. "
                        "Check that it is the right file, or rename its columns.")
    out = list(header)
    for name in needed:
        out[own[plain(name)]] = name
    return out
