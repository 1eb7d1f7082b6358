"""What a run says about its machine: versions of what it used, and the memory that it took."""

from __future__ import annotations

import contextlib
import platform
import sys
from importlib import metadata
from pathlib import Path

VERSIONS = ("torch", "numpy", "scipy", "nibabel", "SimpleITK", "pydicom", "tokenizers", "safetensors")
STATUS = Path("/proc/self/status")


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages among VERSIONS; imports none of them."""
    found = {"python": platform.python_version()}
    for name in ("slicer-uvlm", *VERSIONS):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def peak_memory_mib() -> int | None:
    """Peak resident memory of this process; None where the system does not tell.

    Linux counts it in VmHWM; `ru_maxrss` there also remembers the program that started this one (man 2 getrusage).
    """
    if of_program := status_mib("VmHWM"):
        return round(of_program)
    try:
        import resource as limits
    except ImportError:
        return None
    peak = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
    return round(peak / 1024 if sys.platform != "darwin" else peak / 1024**2)


def status_mib(name: str) -> float:
    """One of the sizes that Linux gives of this process ("VmRSS", man 5 proc); 0 elsewhere."""
    with contextlib.suppress(OSError):
        for line in STATUS.read_text("ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
    return 0.0


def forget_peak_memory() -> bool:
    """Lets `peak_memory_mib` count from now on; False where the system (all but Linux) cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # man 5 proc
        return True
    except OSError:
        return False
