"""Two texts compared word by word, and two states of a report sentence by sentence."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

_TOKEN = re.compile(r"\s+|\d+(?:[.,]\d+)*|\w+|[^\w\s]")

SAME, ADDED, REMOVED = "same", "added", "removed"


@dataclass(frozen=True)
class Difference:
    """A piece of text that is "same", "added" or "removed"; `before` and `after` are its (start, end) in both texts,
    empty at the place where it is missing."""

    kind: str
    text: str
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True)
class SentenceDifference:
    """One sentence in two states of the report: `kind` is "same", "changed", "added" or "removed"; `time` is that of
    its last change, None where there was none or it is not known."""

    section: str
    sentence: str
    kind: str
    pieces: tuple[Difference, ...]
    time: str | None = None


def word_differences(before: str, after: str) -> list[Difference]:
    """The pieces of both texts in order; of a replaced piece the removed one first. Whole words and numbers only."""
    old, new = _TOKEN.findall(before), _TOKEN.findall(after)
    old_places, new_places = _places(old), _places(new)
    pieces = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        left, right = (old_places[i], old_places[j]), (new_places[k], new_places[m])
        if tag == "equal":
            pieces.append(Difference(SAME, before[slice(*left)], left, right))
            continue
        if j > i:
            pieces.append(Difference(REMOVED, before[slice(*left)], left, (right[0], right[0])))
        if m > k:
            pieces.append(Difference(ADDED, after[slice(*right)], (left[1], left[1]), right))
    return pieces


def _places(tokens: Sequence[str]) -> list[int]:
    places = [0]
    for token in tokens:
        places.append(places[-1] + len(token))
    return places


@dataclass(frozen=True)
class Version:
    """One state of a report: section name -> ((sentence id, text), …) in reading order."""

    sections: dict[str, tuple[tuple[str, str], ...]]

    def text_of(self) -> dict[str, str]:
        """Sentence id -> text."""
        return {name: text for rows in self.sections.values() for name, text in rows}


def compare_versions(before: Version, after: Version, times: dict[str, str | None]) -> list[SentenceDifference]:
    """Sentences of the later state in reading order, each removed one after the sentence that it used to follow.

    Args:
        times: sentence id -> time of its last change, also of removed ones.
    """
    old, new = before.text_of(), after.text_of()
    rows = []
    for section in dict.fromkeys((*after.sections, *before.sections)):
        here = [name for name, _ in after.sections.get(section, ())]
        gone = _removed_after(before.sections.get(section, ()), new, here)
        rows += [_removed(section, name, old, times) for name in gone.get(None, ())]
        for name, text in after.sections.get(section, ()):
            rows.append(_compared(section, name, old.get(name), text, times.get(name)))
            rows += [_removed(section, other, old, times) for other in gone.get(name, ())]
    return rows


def _removed_after(rows: Sequence[tuple[str, str]], new: dict[str, str], here: Sequence[str]) -> dict:
    """Sentence that is still here (or None for the beginning) -> removed ones that followed it."""
    table: dict[str | None, list[str]] = {}
    last = None
    for name, _ in rows:
        if name in here:
            last = name
        elif name not in new:
            table.setdefault(last, []).append(name)
    return table


def _removed(section: str, name: str, old: dict[str, str], times) -> SentenceDifference:
    return SentenceDifference(section, name, "removed", tuple(word_differences(old[name], "")), times.get(name))


def _compared(section: str, name: str, old: str | None, text: str, time: str | None) -> SentenceDifference:
    kind = "added" if old is None else "same" if old == text else "changed"
    return SentenceDifference(section, name, kind, tuple(word_differences(old or "", text)), time)
