"""Stops the network between any two of its layers, so that a large scan need not be finished before a run ends."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from uvlm_core.inference.progress import Monitor


@contextmanager
def cancel_points(monitor: Monitor) -> Iterator[None]:
    """Asks `monitor` before every module that this thread runs; the longest single one is one convolution.

    Raises:
        Cancelled: from within the network, as soon as the user wants to stop.
    """
    from torch.nn.modules.module import register_module_forward_pre_hook

    own = threading.get_ident()

    def ask(module, inputs) -> None:
        if threading.get_ident() == own:
            monitor.check()

    hook = register_module_forward_pre_hook(ask)
    try:
        yield
    finally:
        hook.remove()
