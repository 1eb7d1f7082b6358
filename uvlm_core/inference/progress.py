"""What a run tells while it works, and how it is stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from uvlm_core.errors import Cancelled

STAGES = ("read", "check", "load model", "grid", "encode", "segment", "classify", "measure", "write report", "save")

# rough share of the time that each stage takes with the demo model on a CPU; only the estimate hangs on it
SHARES = {"read": 15, "check": 2, "grid": 5, "load model": 3, "encode": 20, "segment": 15, "classify": 5,
          "write report": 20, "measure": 10, "save": 10}


@dataclass(frozen=True)
class Progress:
    """One notification: `stage` of STAGES, `done` of `total` steps in it, and new report text while it is written."""

    stage: str
    done: int
    total: int
    text: str = ""


class Monitor:
    """Reports stages, keeps their seconds, and raises Cancelled as soon as the user wants to stop."""

    def __init__(self, progress: Callable[[Progress], None] | None = None, cancel: Callable[[], bool] | None = None):
        self._progress = progress
        self._cancel = cancel
        self.current = STAGES[0]
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str, total: int = 1) -> Iterator[None]:
        """Tells begin and end of a stage and measures it."""
        self.check()
        self.current = name
        begin = time.perf_counter()
        self.tell(0, total)
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + time.perf_counter() - begin, 3)
        self.tell(total, total)
        self.check()

    def tell(self, done: int, total: int, text: str = "") -> None:
        """Progress within the current stage."""
        if self._progress is not None:
            self._progress(Progress(self.current, done, total, text))

    def cancelled(self) -> bool:
        """True once the user wants to stop."""
        return self._cancel is not None and bool(self._cancel())

    def check(self) -> None:
        """Raises Cancelled if the user wants to stop."""
        if self.cancelled():
            raise Cancelled("Cancelled; nothing was written.")
