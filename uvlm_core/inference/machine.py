"""What a run says about its machine: versions of what it used, and the memory that it took."""

from __future__ import annotations

import platform
import sys
from importlib import metadata
from pathlib import Path

VERSIONS = ("torch", "numpy", "scipy", "nibabel", "SimpleITK", "pydicom", "tokenizers", "safetensors")


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
    """Peak resident memory of this process; None where the system does not tell."""
    try:
        import resource as limits
    except ImportError:
        return None
    peak = limits.getrusage(limits.RUSAGE_SELF).ru_maxrss
    return round(peak / 1024 if sys.platform != "darwin" else peak / 1024**2)


def forget_peak_memory() -> bool:
    """Lets `peak_memory_mib` count from now on; False where the system (all but Linux) cannot."""
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")  # man 5 proc
        return True
    except OSError:
        return False
