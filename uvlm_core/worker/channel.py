"""stdin and stdout for the protocol alone: everything that is printed goes to stderr."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator

from uvlm_core.worker.messages import LONGEST_LINE, PARSE, BadLine, Refusal, line_of

SKIP = 1 << 20


class Channel:
    """Lines in, messages out; `send` may be called from any thread."""

    def __init__(self, incoming: int, outgoing: int):
        """Takes two file descriptors."""
        self._incoming = os.fdopen(incoming, "rb")
        self._outgoing = os.fdopen(outgoing, "wb", buffering=0)
        self._lock = threading.Lock()

    @staticmethod
    def of_process() -> Channel:
        """The channel of this process; from now on descriptor 1 is stderr, for Python and for C, and 0 is empty."""
        sys.stdout.flush()
        incoming, outgoing = os.dup(0), os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        try:
            os.dup2(2, 1)
        except OSError:  # started without stderr
            os.dup2(nothing, 1)
            os.dup2(nothing, 2)
        os.close(nothing)
        sys.stdout = sys.stderr
        if os.name == "nt":
            import msvcrt

            for descriptor in (incoming, outgoing):
                msvcrt.setmode(descriptor, os.O_BINARY)
        return Channel(incoming, outgoing)

    def lines(self) -> Iterator[bytes | BadLine]:
        """Lines without their end until the other side closes; a BadLine in place of one that is too long."""
        while line := self._incoming.readline(LONGEST_LINE + 1):
            if len(line) > LONGEST_LINE and not line.endswith(b"\n"):
                self._skip()
                text = f"The line is longer than {LONGEST_LINE >> 20} MiB. Send arrays as files."
                yield BadLine(Refusal(PARSE, text))
            elif line := line.strip():
                yield line

    def _skip(self) -> None:
        while (part := self._incoming.readline(SKIP)) and not part.endswith(b"\n"):
            pass

    def send(self, message: dict) -> None:
        """Writes one message.

        Raises:
            OSError: nobody reads any more.
        """
        rest = memoryview(line_of(message))
        with self._lock:
            while rest:  # a pipe may take a part
                rest = rest[self._outgoing.write(rest) :]
