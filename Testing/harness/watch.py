"""What tests watch: errors that Qt would only print, processes that stay behind, an event loop that stands still."""

from __future__ import annotations

import sys
import time
import traceback
from pathlib import Path
from typing import Any

NOISE = ("propagateSizeHints",)  # of the platform without a display


class Errors:
    """Errors of slots, timers and overrides: nobody catches them, Slicer prints them into its console."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._old: Any = None

    def start(self) -> None:
        """Hear of every error from now on."""
        self._old = sys.excepthook, sys.unraisablehook
        sys.excepthook = lambda *error: self._heard("".join(traceback.format_exception(*error)))
        sys.unraisablehook = lambda args: self._heard(
            f"in {args.object!r}:\n" + "".join(traceback.format_exception(args.exc_type, args.exc_value,
                                                                          args.exc_traceback)))

    def stop(self) -> None:
        """As before."""
        sys.excepthook, sys.unraisablehook = self._old

    def _heard(self, text: str) -> None:
        self.texts.append(text)
        print(text, file=sys.stderr)


def quiet_qt() -> None:
    """Print Qt's messages without those that only the missing display causes."""
    from PySide6 import QtCore

    def write(kind: Any, context: Any, text: str) -> None:
        if not any(part in text for part in NOISE):
            print(text, file=sys.stderr)

    QtCore.qInstallMessageHandler(write)


def children() -> dict[int, str]:
    """Processes that this one started, by number with their command lines; nothing where there is no /proc."""
    found: dict[int, str] = {}
    for file in Path("/proc/self/task").glob("*/children"):
        try:
            numbers = file.read_text().split()
        except OSError:
            continue
        for number in numbers:
            command = _command(number)
            if command:
                found[int(number)] = command
    return found


def _command(number: str) -> str:
    """The command line; nothing for a process that has ended and only waits to be asked for its result."""
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        text = Path(f"/proc/{number}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
    return "" if state == "Z" else text


class LoopMeter:
    """How long the event loop stood still: the longest time between two of its turns, in seconds.

    `longest` is the time on the clock, `longest_own` the time that this thread computed meanwhile, which does not grow
    on a busy machine. Used as a context manager around code that runs the event loop.
    """

    def __init__(self) -> None:
        self.longest = self.longest_own = 0.0
        self.turns = 0
        self._timer: Any = None
        self._last = (0.0, 0.0)

    def __enter__(self) -> LoopMeter:
        from PySide6 import QtCore

        self._timer = QtCore.QTimer()
        self._timer.connect("timeout()", self._turn)
        self._last = (time.perf_counter(), time.thread_time())
        self._timer.start(1)
        return self

    def __exit__(self, *error: Any) -> None:
        self._timer.stop()
        self._turn()

    def _turn(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        self.longest = max(self.longest, now[0] - self._last[0])
        self.longest_own = max(self.longest_own, now[1] - self._last[1])
        self._last = now
        self.turns += 1
