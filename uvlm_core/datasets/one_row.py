"""One row per scan of tables that may have several: equal ones are fine, contradicting ones are told."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace

from uvlm_core.datasets.csv_file import plain, says_nothing
from uvlm_core.datasets.layout import in_years, sex_of, split_of
from uvlm_core.datasets.problems import Problem
from uvlm_core.datasets.table import NO, YES

MEANINGS = {("sex", "gender", "patientsex"): sex_of, ("age", "patientage"): in_years, ("split",): split_of}
MOST_LETTERS = 40  # of a cell in a message

Rows = dict[Hashable, dict[str, str]]
Contradictions = dict[Hashable, list[Problem]]


def one_row_each(tables: Iterable[tuple[str, list[dict[str, str]]]], key: Callable[[dict], Hashable],
                 used: Callable[[str], bool]) -> tuple[Rows, Contradictions]:
    """The row of each key; what one row leaves empty is taken from another.

    Args:
        tables: (name of the file, its rows as `read_rows` has them).
        key: what a row is about; rows about nothing are left out.
        used: whether a column matters. Where two rows differ in it nobody knows which is right, so none is taken.

    Returns:
        the rows, and for `told_of` what contradicts each other.
    """
    found: Rows = {}
    places: dict[Hashable, str] = {}  # of the first row of a key, and of cells that a later one filled
    disputed: set[tuple[Hashable, str]] = set()
    problems: Contradictions = {}
    for file, rows in tables:
        for number, row in enumerate(rows, 2):  # row 1 is the header, as spreadsheets count
            about, place = key(row), f"{file} row {number}"
            if not about:
                continue
            if about not in found:
                found[about], places[about] = dict(row), place
                continue
            known, differing = found[about], []
            own = {plain(column): column for column in known}
            for column, value in row.items():
                column = own.get(plain(column), column)
                before = known.setdefault(column, "")
                if says_nothing(value):
                    continue
                if says_nothing(before):
                    known[column], places[about, column] = value, place
                elif used(column) and not _same(plain(column), before, value):
                    disputed.add((about, column))
                    differing.append(f"{column} is {_short(before)} in {places.get((about, column), places[about])} "
                                     f"and {_short(value)} in {place}")
            if differing:
                problems.setdefault(about, []).append(Problem(
                    "error", "", "contradiction", f"rows about it differ: {'; '.join(differing)}", file,
                    "Correct it, or go on with --on-error skip: what differs is then not known."))
    for about, column in disputed:
        found[about][column] = ""
    return found, problems


def told_of(problems: Contradictions, key: Hashable, case_id: str) -> Iterator[Problem]:
    """The contradictions of a key as problems of the case that it is about."""
    for problem in problems.get(key, ()):
        yield replace(problem, case_id=case_id)


def _same(column: str, one: str, other: str) -> bool:
    """Whether two cells mean the same to the importers: M and male, 54 and 054Y, 1 and true."""
    for names, read in MEANINGS.items():
        if column in names and read(one) not in ("", None) and read(one) == read(other):
            return True
    if any({one.strip().lower(), other.strip().lower()} <= set(words) for words in (YES, NO)):
        return True
    try:
        return float(one) == float(other)  # 0 and 0.0
    except ValueError:
        return one.split() == other.split()


def _short(text: str) -> str:
    text = " ".join(text.split())
    return f"'{text[:MOST_LETTERS]}…'" if len(text) > MOST_LETTERS else f"'{text}'"
