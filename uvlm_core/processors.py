"""How many processors this process may use, told to the numeric libraries before they are loaded."""

from __future__ import annotations

import os
from pathlib import Path

SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # Linux control groups, version 2: "200000 100000" is two processors


def usable_processors(quota: Path = QUOTA) -> int:
    """Processors that the system grants, which in a container or a batch job can be fewer than the machine has."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        granted, period = quota.read_text("ascii").split()[:2]
        count = min(count, max(1, int(granted) // int(period)))
    except (OSError, ValueError):  # no such file, or "max": no limit
        pass
    return max(1, count)


def limit_threads(environment=os.environ) -> None:
    """Keeps libraries from starting more threads than there are processors; what the user has set stands.

    Threads that wait for each other sleep: beside other busy programs, spinning ones make decoding twenty times slower.
    """
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    count = usable_processors()
    if count < (os.cpu_count() or 1):
        for name in SETTINGS:
            environment.setdefault(name, str(count))
