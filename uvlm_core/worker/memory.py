"""Memory of this machine, and giving back what a finished job no longer needs."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # Linux control groups, version 2


def give_back_memory() -> None:
    """Frees what is only held by habit: cycles, a GPU's cache, and what the C library keeps for later."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_available():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl has not
        if trim is not None:
            trim(0)


def machine_memory_mib() -> tuple[int | None, int | None]:
    """(all, free) memory that this process can use; None where the system does not tell."""
    if os.name == "nt":
        return _windows_memory()
    try:
        page = os.sysconf("SC_PAGE_SIZE")
        total = os.sysconf("SC_PHYS_PAGES") * page >> 20
    except (ValueError, OSError):
        return None, None
    free = _available() if sys.platform == "linux" else None
    limit, used = _number(CGROUP / "memory.max"), _number(CGROUP / "memory.current")
    if limit is not None and limit >> 20 < total:  # a container
        total = limit >> 20
        if free is not None and used is not None:
            free = max(0, min(free, total - (used >> 20)))
    return total, free


def _available() -> int | None:
    try:
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) >> 10
    except (OSError, ValueError):
        pass
    return None


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text("ascii"))
    except (OSError, ValueError):  # no such file, or "max"
        return None


def _windows_memory() -> tuple[int | None, int | None]:
    class Status(ctypes.Structure):
        """MEMORYSTATUSEX of the Windows API."""

        _fields_ = [("length", ctypes.c_ulong), ("load", ctypes.c_ulong),
                    *((name, ctypes.c_ulonglong) for name in ("total", "free", "total_page", "free_page",
                                                              "total_virtual", "free_virtual", "extended"))]

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None, None
    return status.total >> 20, status.free >> 20
