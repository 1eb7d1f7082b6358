"""Ctrl-C and termination signals: the work ends at its next safe point."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from uvlm_core.errors import Cancelled


@contextmanager
def stoppable(text: str) -> Iterator[Callable[[], bool]]:
    """Ctrl-C or a termination signal stops the work at its next safe point, a second one at once; ends with `text`.

    Gives the function that says whether to stop.
    """
    stop = threading.Event()

    def interrupt(*_) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = [(number, signal.signal(number, interrupt)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield stop.is_set
    except (Cancelled, KeyboardInterrupt) as error:
        raise Cancelled(text) from error
    finally:
        for number, handler in before:
            signal.signal(number, handler)
