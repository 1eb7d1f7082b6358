"""Windows that wait for the user: tests answer them, and one that nobody answers does not wait for ever.

Dialogs really run, with Qt's own loop. A test queues answers in the order in which they are asked for; the text of
every dialog is kept. A box with nothing but OK is accepted after a moment; any other that stays open is closed as by
Escape and counts as unanswered, which fails the test.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from PySide6 import QtCore, QtWidgets

from .pythonqt import raw

MOMENT, PATIENCE = 150, 5000  # milliseconds


@dataclass
class Asked:
    """One dialog: its class, title and text."""

    kind: str
    title: str
    text: str


@dataclass
class Dialogs:
    """What was asked, and the answers that tests have queued.

    An answer is a standard button (`qt.QMessageBox.Yes`), the text of a button, a path or text for file and input
    dialogs, or a function that gets the open dialog and closes it.
    """

    asked: list[Asked] = field(default_factory=list)
    unanswered: list[Asked] = field(default_factory=list)
    answers: deque[Any] = field(default_factory=deque)

    def answer(self, *answers: Any) -> None:
        """Queue answers for the next dialogs."""
        self.answers.extend(answers)

    def clear(self) -> None:
        """Forget everything."""
        self.asked.clear()
        self.unanswered.clear()
        self.answers.clear()

    @property
    def texts(self) -> list[str]:
        """The texts of all dialogs so far."""
        return [one.text for one in self.asked]

    def pick(self, kind: str, title: str, text: str, nothing: Any) -> Any:
        """The answer to a file or input dialog; `nothing` as if it was cancelled, where there is none."""
        self.asked.append(Asked(kind, title, text))
        if not self.answers:
            return nothing
        answer = self.answers.popleft()
        return answer() if callable(answer) else answer

    def execute(self, dialog: QtWidgets.QDialog, run: Callable[[], int]) -> int:
        """Run a dialog with its loop, and answer it from there."""
        asked = Asked(type(dialog).__name__, raw(dialog, "windowTitle")(), _text(dialog))
        self.asked.append(asked)
        timers = []
        if self.answers:
            answer = self.answers.popleft()
            timers.append(_later(20, lambda: _give(dialog, answer)))
        else:
            timers.append(_later(MOMENT, lambda: _accept_only_ok(dialog)))
            timers.append(_later(PATIENCE, lambda: (self.unanswered.append(asked), raw(dialog, "reject")())))
        with _not_deleted(dialog):
            try:
                return run()
            finally:
                for timer in timers:
                    raw(timer, "stop")()


DIALOGS = Dialogs()


class _Keeper(QtCore.QObject):
    """Holds back the end of an object for which deleteLater was called."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = False

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        self.asked = self.asked or event.type() == QtCore.QEvent.DeferredDelete
        return event.type() == QtCore.QEvent.DeferredDelete


@contextlib.contextmanager
def _not_deleted(dialog: QtWidgets.QDialog) -> Iterator[None]:
    """slicer.util calls deleteLater before it shows a message. In Slicer, whose main loop runs, the message lives until
    that loop comes to it; in a test the dialog's own loop would delete it at once.
    """
    keeper = _Keeper()
    raw(dialog, "installEventFilter")(keeper)
    try:
        yield
    finally:
        raw(dialog, "removeEventFilter")(keeper)
        if keeper.asked:
            raw(dialog, "deleteLater")()


def _later(milliseconds: int, function: Callable[[], Any]) -> QtCore.QTimer:
    timer = QtCore.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", function)
    timer.start(milliseconds)
    return timer


def _text(dialog: QtWidgets.QDialog) -> str:
    if isinstance(dialog, QtWidgets.QMessageBox):
        return "\n".join(filter(None, (raw(dialog, "text")(), raw(dialog, "informativeText")())))
    labels = raw(dialog, "findChildren")(QtWidgets.QLabel)
    return "\n".join(raw(label, "text")() for label in labels if raw(label, "text")())


def _accept_only_ok(dialog: QtWidgets.QDialog) -> None:
    if not isinstance(dialog, QtWidgets.QMessageBox):
        return
    count = len(raw(dialog, "buttons")()) - bool(raw(dialog, "detailedText")())  # that text brings a button of its own
    ok = raw(dialog, "button")(QtWidgets.QMessageBox.Ok)
    if count == 1 and ok is not None:
        raw(ok, "click")()


def _give(dialog: QtWidgets.QDialog, answer: Any) -> None:
    if callable(answer) and not isinstance(answer, int):
        answer(dialog)
    elif isinstance(dialog, QtWidgets.QMessageBox):
        raw(_button(dialog, answer), "click")()
    else:
        raw(dialog, "done")(int(answer))


def _button(dialog: QtWidgets.QMessageBox, answer: Any) -> Any:
    buttons = raw(dialog, "buttons")()
    if isinstance(answer, str):
        found = [b for b in buttons if raw(b, "text")().replace("&", "") == answer]
        if not found:
            raise ValueError(f"no button '{answer}' in {[raw(b, 'text')() for b in buttons]}")
        return found[0]
    return raw(dialog, "button")(QtWidgets.QMessageBox.StandardButton(int(answer)))
