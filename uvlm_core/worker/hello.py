"""`hello`: who the worker is, what it runs on, and what it lacks."""

from __future__ import annotations

import os

from uvlm_core.inference.machine import versions
from uvlm_core.processors import usable_processors
from uvlm_core.version import VERSION
from uvlm_core.worker.memory import machine_memory_mib
from uvlm_core.worker.messages import PROTOCOL
from uvlm_core.worker.packages import Packages


def hello(packages: Packages, busy: dict | None) -> dict:
    """The result of the method; waits until PyTorch has been imported."""
    missing = packages.missing()
    with_torch = all(row["package"] != "torch" for row in missing)
    return {"protocol": PROTOCOL, "version": VERSION, "pid": os.getpid(), "versions": versions(),
            "devices": _devices(with_torch), "missing": missing, "busy": busy}


def _devices(with_torch: bool) -> list[dict]:
    total, free = machine_memory_mib()
    count = usable_processors()
    rows = [{"id": "cpu", "title": f"CPU, {count} thread{'s' if count > 1 else ''}", "memory_mib": total,
             "free_mib": free}]
    if not with_torch:
        return rows
    import torch

    if torch.cuda.is_available():
        left, whole = torch.cuda.mem_get_info()
        rows.append({"id": "cuda", "title": torch.cuda.get_device_name(), "memory_mib": whole >> 20,
                     "free_mib": left >> 20})
    if torch.backends.mps.is_available():
        rows.append({"id": "mps", "title": "Apple GPU", "memory_mib": total, "free_mib": free})
    return rows
