"""How long the event loop of a program stood still, and which of our functions it was in."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from pathlib import Path

OURS = ("UVLMReportLib", "uvlm_core", "UVLMReport.py")
BEAT_MS, SAMPLE_SECONDS, DEPTH = 2, 0.002, 6


class Heartbeat:
    """A QTimer that beats every 2 ms while the event loop turns, and a thread that looks what the main thread is doing.

    A block is the processor time of the main thread between two beats: it does not grow on a busy machine. Its `clock`
    is the time that passed. `phase`: what the user is doing now, in the rows of `report`.
    """

    def __init__(self, shortest_ms: float = 20.0) -> None:
        import qt

        self.phase = ""
        self._shortest = shortest_ms / 1000
        self._blocks: dict[str, list[dict]] = {}
        self._main, self._seen = threading.get_ident(), Counter()
        self._ended = threading.Event()
        self._timer = qt.QTimer()
        self._timer.connect("timeout()", self._beat)
        self._last = (time.perf_counter(), time.thread_time())
        self._timer.start(BEAT_MS)
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """No beat any more."""
        self._ended.set()
        self._timer.stop()

    def mark(self, phase: str) -> None:
        """What comes now belongs to another phase."""
        self._beat()
        self.phase = phase
        self._blocks.setdefault(phase, [])

    def report(self) -> dict[str, dict]:
        """Per phase: the longest block, where it was, and how many took more than 100 ms of processor time."""
        self._beat()
        found = {}
        for phase, blocks in self._blocks.items():
            rows = sorted(blocks, key=lambda block: -block["own_ms"])
            found[phase] = {"longest_ms": rows[0]["own_ms"] if rows else 0.0,
                            "over_100_ms": sum(row["own_ms"] > 100 for row in rows), "longest": rows[:3]}
        return found

    def _beat(self) -> None:
        now = (time.perf_counter(), time.thread_time())
        clock, own = now[0] - self._last[0], now[1] - self._last[1]
        seen, self._seen = self._seen, Counter()
        if own >= self._shortest:
            self._blocks.setdefault(self.phase, []).append({
                "own_ms": round(1000 * own, 1), "clock_ms": round(1000 * clock, 1),
                "where": [f"{round(100 * count / seen.total())} % {place}" for place, count in seen.most_common(4)]})
        self._last = (time.perf_counter(), time.thread_time())

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            frame = sys._current_frames().get(self._main)
            names = []
            while frame is not None and len(names) < DEPTH:
                path = Path(frame.f_code.co_filename)
                if any(part in OURS for part in path.parts):
                    names.append(f"{path.stem}.{frame.f_code.co_name}:{frame.f_lineno}")
                frame = frame.f_back
            self._seen[" < ".join(names) or "not ours"] += 1
