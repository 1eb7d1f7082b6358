"""What a job tells while it works: not too often, not too seldom, and how much is left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping

from uvlm_core.inference.progress import SHARES, STAGES, Progress

LEAST_SECONDS = 0.1  # between two messages
MOST_SECONDS = 1.0


class JobProgress:
    """Takes the pipeline's progress and sends it on as `progress` notifications.

    New text is collected until the next message, so none is lost by sending less often.
    """

    def __init__(self, send: Callable[[dict], None], all_stages: bool = True,
                 clock: Callable[[], float] = time.monotonic):
        """Begins the job's time.

        Args:
            send: takes the fields of the notification, without the id.
            all_stages: False for a job of a single stage.
        """
        self._send, self._all_stages, self._clock = send, all_stages, clock
        self._lock = threading.Lock()
        self._expected: Mapping[str, float] | None = None
        self._latest, self._text = None, ""
        self._begin = self._stage_begin = clock()
        self._last, self._pending, self._fraction = float("-inf"), False, 0.0

    @property
    def stage(self) -> str | None:
        """The stage that the job is in; None before the first."""
        latest = self._latest
        return None if latest is None else latest.stage

    def expect(self, seconds: Mapping[str, float] | None) -> None:
        """Seconds that each stage will probably take; None where nothing is known."""
        with self._lock:
            self._expected = seconds

    def __call__(self, progress: Progress) -> None:
        with self._lock:
            if progress.stage != self.stage:
                self._stage_begin = self._clock()
            self._latest, self._pending = progress, True
            self._text += progress.text
            if self._clock() - self._last >= LEAST_SECONDS:
                self._tell()

    def tick(self) -> None:
        """To be called every LEAST_SECONDS: sends what waits, and a sign of life during a long step."""
        with self._lock:
            since = self._clock() - self._last
            if self._latest is not None and since >= (LEAST_SECONDS if self._pending else MOST_SECONDS):
                self._tell()

    def flush(self) -> None:
        """Sends what waits, whenever the last message was."""
        with self._lock:
            if self._pending:
                self._tell()

    def _tell(self) -> None:
        left = self._seconds_left()
        self._fraction = max(self._fraction, self._share(left))
        text, self._text = self._text, ""
        self._last, self._pending = self._clock(), False
        self._send({"stage": self._latest.stage, "done": self._latest.done, "total": self._latest.total, "text": text,
                    "fraction": round(self._fraction, 4), "seconds_left": None if left is None else round(left, 1)})

    def _seconds_left(self) -> float | None:
        """What the stages to come took before, and the rest of this one."""
        if self._expected is None:
            return None
        stage = self._latest.stage
        own = self._expected.get(stage, 0.0) - (self._clock() - self._stage_begin)
        if self._latest.done >= self._latest.total:
            own = 0.0
        later = STAGES[STAGES.index(stage) + 1 :]
        return max(0.0, own) + sum(self._expected.get(name, 0.0) for name in later)

    def _share(self, left: float | None) -> float:
        """0..1 of the whole job: by time where it is known, else by the usual shares of the stages."""
        if left is not None:
            gone = self._clock() - self._begin
            return gone / max(gone + left, 1e-6)
        part = self._latest.done / max(1, self._latest.total)
        if not self._all_stages:
            return part
        before = sum(SHARES[name] for name in STAGES[: STAGES.index(self._latest.stage)])
        return (before + SHARES[self._latest.stage] * part) / sum(SHARES.values())
