"""Every change of a report as a record, and undo and redo over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from uvlm_core.errors import EditError
from uvlm_core.report.editing.json_form import plain, read
from uvlm_core.report.editing.rows import cell_type

TYPING_SECONDS = 3.0

Clock = Callable[[], datetime]
Patch = dict[str, tuple[Any, Any]]  # key of a cell -> (before, after), None where it was not there


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def stamp(time: datetime) -> str:
    """A time as it is written: "2026-01-02T10:15:00Z". Raises EditError for one without a zone."""
    if time.tzinfo is None:
        raise EditError("The clock of a report must give times with a zone, for example datetime.now(timezone.utc).")
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True)
class Change:
    """One change: `kind` ("edit_sentence", …), `target` (id of a sentence, segment or finding), `before` and `after` in
    words, `undone`; `patch` is what undo needs: empty for facts from outside, which undo does not touch."""

    number: int
    time: str
    kind: str
    target: str | None
    before: str | None
    after: str | None
    undone: bool = False
    patch: Patch | None = None

    def to_dict(self) -> dict:
        """Plain JSON values."""
        patch = None if self.patch is None else {key: plain(pair) for key, pair in self.patch.items()}
        return {"number": self.number, "time": self.time, "kind": self.kind, "target": self.target,
                "before": self.before, "after": self.after, "undone": self.undone, "patch": patch}

    @staticmethod
    def from_dict(values: Mapping, where: str) -> Change:
        """The change of `to_dict`. Raises EditError."""
        row = read(_Stored, values, where)
        patch = None
        if row.patch is not None:
            patch = {}
            for key, pair in row.patch.items():
                patch[key] = _read_pair(key, pair, f"{where}.patch.{key}")
        return Change(row.number, row.time, row.kind, row.target, row.before, row.after, row.undone, patch)


@dataclass(frozen=True)
class _Stored:
    number: int
    time: str
    kind: str
    target: str | None
    before: str | None
    after: str | None
    undone: bool
    patch: dict | None


def _read_pair(key: str, pair, where: str) -> tuple[Any, Any]:
    try:
        kind = cell_type(key)
    except KeyError:
        raise EditError(f"The saved report is damaged: {where} is no part of a report.") from None
    if not isinstance(pair, list) or len(pair) != 2:
        raise EditError(f"The saved report is damaged: {where} should be a list of two, before and after.")
    before, after = (None if value is None else read(kind, value, where) for value in pair)
    return before, after


class History:
    """The changes in their order; `undo_stack` and `redo_stack` are their numbers, the next one last."""

    def __init__(self, changes=(), undo_stack=(), redo_stack=()):
        self.changes: list[Change] = list(changes)
        self.undo_stack: list[int] = list(undo_stack)
        self.redo_stack: list[int] = list(redo_stack)
        self._typed: datetime | None = None  # when the last typing that may still go on was

    def add(self, time: datetime, kind: str, target: str | None, before: str | None, after: str | None,
            patch: Patch | None = None, typing: bool = False) -> Change:
        """Records a change.

        Args:
            patch: what it did to the cells; None for a fact from outside.
            typing: letters in one sentence; goes on with the last change where that is the same, seconds ago.
        """
        last = self._typing_goes_on(time, kind, target, patch) if typing else None
        self._typed = time if typing else None
        if last is not None:
            merged = {key: (last.patch[key][0], patch[key][1]) if key in patch else last.patch[key]
                      for key in last.patch}
            change = replace(last, time=stamp(time), after=after, patch=merged)
            self.changes[-1] = change
            return change
        change = Change(len(self.changes) + 1, stamp(time), kind, target, before, after, False, patch)
        self.changes.append(change)
        if patch is not None:
            self.undo_stack.append(change.number)
            self.redo_stack.clear()
        return change

    def before_typing(self, time: datetime, kind: str, target: str) -> Patch:
        """What the typing that goes on has changed until now, {} where it would be a new one."""
        last = self._typing_goes_on(time, kind, target, {})
        return {} if last is None else last.patch

    def _typing_goes_on(self, time: datetime, kind: str, target: str | None, patch: Patch) -> Change | None:
        last = self.changes[-1] if self.changes else None
        if (self._typed is None or last is None or not self.undo_stack or self.undo_stack[-1] != last.number
                or not 0 <= (time - self._typed).total_seconds() <= TYPING_SECONDS):
            return None
        same = last.kind == kind and last.target == target and last.patch is not None and set(patch) <= set(last.patch)
        return last if same else None

    def undo(self, time: datetime) -> tuple[Change, dict[str, Any]] | None:
        """Takes the last change back: it, and the cells as they were before it; None where there is none."""
        return self._step(time, "undo", self.undo_stack, self.redo_stack, 0)

    def redo(self, time: datetime) -> tuple[Change, dict[str, Any]] | None:
        """The way forward again: the change, and the cells as they were after it."""
        return self._step(time, "redo", self.redo_stack, self.undo_stack, 1)

    def _step(self, time, kind: str, source: list[int], target: list[int], side: int):
        if not source:
            return None
        number = source.pop()
        target.append(number)
        change = replace(self.changes[number - 1], undone=side == 0)
        self.changes[number - 1] = change
        self._typed = None
        self.changes.append(Change(len(self.changes) + 1, stamp(time), kind, change.target,
                                   change.after if side == 0 else change.before,
                                   change.before if side == 0 else change.after))
        return change, {key: pair[side] for key, pair in change.patch.items()}

    def change_cells(self, change: Callable[[Any], Any]) -> None:
        """Replaces every cell that undo or redo can bring back by what `change` gives for it."""
        for number in {*self.undo_stack, *self.redo_stack}:
            old = self.changes[number - 1]
            patch = {key: (change(before), change(after)) for key, (before, after) in old.patch.items()}
            self.changes[number - 1] = replace(old, patch=patch)

    def seal(self) -> None:
        """What was done until now can no longer be undone."""
        self.undo_stack.clear()
        self.redo_stack.clear()
        self._typed = None

    def stop_typing(self) -> None:
        """The next typing is a change of its own."""
        self._typed = None

    @staticmethod
    def from_dict(values: Mapping, where: str) -> History:
        """The history of a saved report: `changes`, `undo`, `redo`. Raises EditError."""
        row = read(_StoredHistory, values, where)
        changes = [Change.from_dict(change, f"{where}.changes[{number}]") for number, change in enumerate(row.changes)]
        for number, change in enumerate(changes, 1):
            if change.number != number:
                raise EditError(f"The saved report is damaged: {where}.changes[{number - 1}] has the number "
                                f"{change.number}.")
        for name in (*row.undo, *row.redo):
            if not 1 <= name <= len(changes) or changes[name - 1].patch is None:
                raise EditError(f"The saved report is damaged: {where} can undo the change {name}, which is not there.")
        return History(changes, row.undo, row.redo)


@dataclass(frozen=True)
class _StoredHistory:
    changes: tuple[dict, ...]
    undo: tuple[int, ...]
    redo: tuple[int, ...]
