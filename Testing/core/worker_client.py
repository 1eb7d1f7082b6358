"""A small client that waits: for tests and benchmarks of the worker."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = (sys.executable, "-m", "uvlm_core.worker")
SECONDS = 120.0  # for any answer: the machines of tests are busy


class Worker:
    """One worker process; every message is kept in `messages` with the time at which it came."""

    def __init__(self, *arguments: str, command: tuple[str, ...] = COMMAND, environment: dict | None = None):
        self.process = subprocess.Popen([*command, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, cwd=ROOT, env=environment or dict(os.environ))
        self.messages: list[tuple[float, dict]] = []
        self.raw: list[bytes] = []
        self.errors = b""
        self._ids = 0
        self._answers: queue.Queue = queue.Queue()
        self._waiting: dict = {}
        self._threads = [threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(10)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            with suppress(OSError):
                pipe.close()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.raw.append(line)
            message = json.loads(line)
            self.messages.append((time.monotonic(), message))
            if "id" in message:
                self._answers.put(message)
        self._answers.put(None)

    def _read_errors(self) -> None:
        for line in self.process.stderr:
            self.errors += line

    def write(self, line: bytes) -> None:
        """Sends bytes as they are."""
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def send(self, method: str, **params) -> int:
        """Sends a request and gives its id."""
        self._ids += 1
        self.write(json.dumps({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params}).encode() + b"\n")
        return self._ids

    def answer(self, identity, seconds: float = SECONDS) -> dict:
        """The reply to an id, result or error; fails when it does not come, or the worker has ended."""
        end = time.monotonic() + seconds
        while identity not in self._waiting:
            message = self._answers.get(timeout=max(0.01, end - time.monotonic()))
            if message is None:
                raise AssertionError(f"the worker ended: {self.process.wait()}\n{self.errors.decode(errors='replace')}")
            self._waiting[message["id"]] = message
        return self._waiting.pop(identity)

    def call(self, method: str, **params) -> dict:
        """The result of a method; fails on an error."""
        message = self.answer(self.send(method, **params))
        assert "result" in message, message
        return message["result"]

    def refused(self, method: str, **params) -> dict:
        """The error of a method; fails on a result."""
        message = self.answer(self.send(method, **params))
        assert "error" in message, message
        return message["error"]

    def notes(self, method: str, identity=None) -> list[dict]:
        """Params of the notifications of a kind, of one job."""
        return [message["params"] for _, message in self.messages if message.get("method") == method
                and (identity is None or message["params"].get("id") == identity)]

    def wait_for(self, condition, seconds: float = SECONDS) -> None:
        """Waits until a condition holds; fails otherwise."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            assert self.process.poll() is None, self.errors.decode(errors="replace")
            time.sleep(0.01)

    def ended(self, seconds: float = 60.0) -> int:
        """Waits for the end and gives the exit code."""
        return self.process.wait(seconds)

    @property
    def memory_mib(self) -> float:
        """Resident memory, of a Linux process."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
