"""Notices when the process that the worker works for is gone, also where another process keeps the pipes open."""

from __future__ import annotations

import os
import select
import sys
import threading
import time
from collections.abc import Callable

POLL_SECONDS = 0.5


def watch(pid: int, gone: Callable[[], None]) -> None:
    """Calls `gone` in a thread, once, when the process of that id has ended (or does not exist)."""
    def wait() -> None:
        wait_for_end(pid)
        gone()

    threading.Thread(target=wait, daemon=True, name="uvlm_parent").start()


def wait_for_end(pid: int) -> None:
    """Returns when the process has ended; a process that has not been collected by its own parent counts as ended."""
    if os.name == "nt":
        _wait_on_windows(pid)
    elif not _wait_with_descriptor(pid):
        _wait_by_asking(pid)


def _wait_with_descriptor(pid: int) -> bool:
    """Linux: the kernel tells the end of exactly this process; False where it has no such descriptors."""
    if not hasattr(os, "pidfd_open"):
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:  # an older kernel, or forbidden
        return False
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)
    return True


def _wait_by_asking(pid: int) -> None:
    """Other Unixes: an own parent is gone when this process has got another one, else when no process has the id."""
    own = os.getppid() == pid
    while os.getppid() == pid if own else _exists(pid):
        time.sleep(POLL_SECONDS)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it belongs to somebody else
        return True
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    if sys.platform != "linux":
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] == b"Z"  # man 5 proc: the state follows the name
    except (OSError, IndexError):
        return False


def _wait_on_windows(pid: int) -> None:
    import ctypes

    synchronize, infinite = 0x00100000, 0xFFFFFFFF
    kernel = ctypes.WinDLL("kernel32", use_last_error=True)
    kernel.OpenProcess.restype = ctypes.c_void_p
    handle = kernel.OpenProcess(synchronize, False, pid)
    if not handle:  # no such process, or one that may not be watched: then the pipe tells
        if ctypes.get_last_error() == 87:  # ERROR_INVALID_PARAMETER: there is none
            return
        threading.Event().wait()
    kernel.WaitForSingleObject(ctypes.c_void_p(handle), infinite)
