"""Signals are heard at once, whatever the main thread is waiting for."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable


def on_signals(numbers: tuple[int, ...], act: Callable[[], None]) -> None:
    """Calls `act` in a thread when the first of these signals comes; call it from the main thread.

    A handler in Python runs only when the main thread comes back to Python. One that is about to wait for a line, or a
    signal that the system gives to another thread, would leave it waiting until the next line. The handler in C
    writes to the socket whatever thread it runs in.
    """
    receiver, sender = socket.socketpair()  # Windows takes only sockets
    sender.setblocking(False)

    def wait() -> None:
        with receiver, sender:
            receiver.recv(1)
            act()

    threading.Thread(target=wait, daemon=True, name="uvlm_signals").start()
    signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
    for number in numbers:
        signal.signal(number, lambda *_: None)  # not ignored: only a signal with a handler reaches the socket
