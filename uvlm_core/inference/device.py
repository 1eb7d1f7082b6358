"""Where and how precisely the model runs, and what to tell a user when that cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from uvlm_core.errors import UVLMError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "fp32", "bf16")
LARGE_MODEL = 30_000_000  # parameters from which a CPU with bf16 units gains seconds


@dataclass(frozen=True)
class Placement:
    """`device` "cpu", "cuda" or "mps"; `precision` "fp32" or "bf16"; `title` names the hardware."""

    device: str
    precision: str
    title: str

    def autocast(self):
        """Context in which the model runs with this precision."""
        import torch

        return torch.autocast(self.device, torch.bfloat16) if self.precision == "bf16" else nullcontext()


def check_choice(device: str, precision: str) -> None:
    """Raises UVLMError for a name that is none; needs no torch, so it can be told before anything is read."""
    for value, allowed, what in ((device, DEVICES, "device"), (precision, PRECISIONS, "precision")):
        if value not in allowed:
            raise UVLMError(f"There is no {what} '{value}'; choose one of {', '.join(allowed)}.")


def choose(device: str = "auto", precision: str = "auto", parameters: int = 0) -> Placement:
    """The device and precision to use.

    "auto" takes CUDA, then MPS, then the CPU; bf16 on CUDA that has it, and on CPUs with AMX for models of at least
    LARGE_MODEL parameters; else fp32.

    Raises:
        UVLMError: the device was asked for and is not there, or cannot do the precision.
    """
    import torch

    check_choice(device, precision)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        built = "" if torch.version.cuda else "; the installed PyTorch was built without CUDA"
        raise UVLMError(f"No CUDA device can be used on this machine{built}. Use the device 'cpu', or install a "
                        "PyTorch with CUDA that fits the driver.")
    if device == "mps" and not torch.backends.mps.is_available():
        raise UVLMError("No Apple GPU (MPS) can be used on this machine. Use the device 'cpu'.")
    if precision == "bf16" and device == "mps":
        raise UVLMError("bf16 is not used on Apple GPUs. Use the precision 'fp32' with the device 'mps'.")
    if precision == "bf16" and device == "cuda" and not torch.cuda.is_bf16_supported():
        raise UVLMError(f"{torch.cuda.get_device_name()} has no bf16. Use the precision 'fp32'.")
    if precision == "auto":
        precision = "bf16" if _gains_from_bf16(device, parameters) else "fp32"
    title = torch.cuda.get_device_name() if device == "cuda" else device.upper()
    return Placement(device, precision, title)


def _gains_from_bf16(device: str, parameters: int) -> bool:
    import torch

    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    fast = getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    return device == "cpu" and parameters >= LARGE_MODEL and bool(fast())


@contextmanager
def memory_explained(device: str, stage: str) -> Iterator[None]:
    """Turns "out of memory" of any device into a sentence with a way on."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if not isinstance(error, MemoryError) and "out of memory" not in text and "can't allocate memory" not in text:
            raise
        way = ("Use the device 'cpu', or the precision 'bf16', or close other programs that use the GPU."
               if device != "cpu" else
               "Close other programs, use the precision 'bf16', or a smaller model, or a machine with more memory.")
        raise UVLMError(f"The {device.upper()} ran out of memory at the stage '{stage}'. {way}") from error
