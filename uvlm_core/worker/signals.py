"""Signals are heard at once, whatever the main thread is waiting for."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable


def on_signals(numbers: tuple[int, ...], act: Callable[[], None]) -> None:
    """Calls `act` in a thread when the first of these signals comes; call it from the main thread.

    A handler in Python runs only when the main thread comes back to Python. One that is about to wait for a line, or a
    signal that the system gives to another thread, would leave it waiting until the next line. The handler in C
    writes to the pipe in whatever thread it runs.
    """
    reader, writer = os.pipe()
    if os.name != "nt":
        os.set_blocking(writer, False)  # asked for by set_wakeup_fd

    def wait() -> None:
        while os.read(reader, 1)[0] not in numbers:  # a library may have handlers of its own
            pass
        act()

    threading.Thread(target=wait, daemon=True, name="uvlm_signals").start()
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)  # not ignored: only a signal with a handler reaches the pipe
