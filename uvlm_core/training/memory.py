"""Memory of a training step: what it took, what there is, and whether an error says that there was too little."""

from __future__ import annotations

import torch

from uvlm_core.inference.machine import forget_peak_memory, peak_memory_mib, status_mib
from uvlm_core.worker.memory import give_back_memory, machine_memory_mib


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the error is a device's or the machine's way to say that memory is short."""
    text = str(error).lower()
    return isinstance(error, MemoryError | torch.cuda.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and ("out of memory" in text or "can't allocate memory" in text))


def start_counting(device: torch.device) -> bool:
    """Lets `peak_mib` count from now on; False where the system cannot (a CPU that is not on Linux)."""
    give_back_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return True
    return device.type == "cpu" and forget_peak_memory()


def peak_mib(device: torch.device) -> float:
    """Peak since `start_counting`: on a CPU of the whole process, on a GPU of its tensors."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return float(peak_memory_mib() or 0)


def available_mib(device: torch.device) -> float | None:
    """What a training process could take in all, itself included; None where the system does not tell."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return (free + torch.cuda.memory_reserved(device)) / 2**20
    _, free = machine_memory_mib()
    return None if free is None else min(free + status_mib("VmRSS"), _limit_mib())


def _limit_mib() -> float:
    """Resident memory at which the process's own limit (ulimit -v) is reached."""
    try:
        import resource as limits
    except ImportError:
        return float("inf")
    most, _ = limits.getrlimit(limits.RLIMIT_AS)
    if most == limits.RLIM_INFINITY:
        return float("inf")
    return max(0.0, most / 2**20 - status_mib("VmSize") + status_mib("VmRSS"))
