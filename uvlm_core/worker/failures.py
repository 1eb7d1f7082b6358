"""What an exception in a job is for the client: a code, a sentence for the user, and a way on."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

from uvlm_core.errors import BundleError, Cancelled, StudyError, UVLMError, VolumeError
from uvlm_core.worker.messages import (
    BUNDLE,
    CANCELLED,
    INPUT,
    MISSING_PACKAGE,
    OUT_OF_MEMORY,
    STUDY,
    UNEXPECTED,
    VOLUME,
    Refusal,
)

CODES = ((VolumeError, VOLUME), (BundleError, BUNDLE), (StudyError, STUDY), (UVLMError, INPUT))
MEMORY_TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
MEMORY_WAY = ("Close other programs, choose the device 'cpu' if a graphics card was used, or use a scan with fewer or "
              "thicker slices.")


def refusal_of(error: BaseException, stage: str | None) -> Refusal:
    """The error reply for an exception.

    Args:
        stage: where the job was.
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, Cancelled):
        return cancelled(stage)
    if ran_out_of_memory(error):
        text = str(error) if isinstance(error, UVLMError) else f"There is not enough memory at the stage '{stage}'."
        return Refusal(OUT_OF_MEMORY, text, MEMORY_WAY, stage)
    for kind, code in CODES:
        if isinstance(error, kind):
            return Refusal(code, str(error), None, stage)
    if isinstance(error, ImportError):
        return Refusal(MISSING_PACKAGE, f"The Python package '{error.name or '?'}' is missing or broken ({error}).",
                       "Install or repair it, then start the worker again.", stage, package=error.name)
    if isinstance(error, OSError) and (error.filename is not None or error.strerror is not None):
        place = f"{error.filename}: " if error.filename is not None else ""
        return Refusal(INPUT, f"{place}{error.strerror or error}.",
                       "Check that it exists, may be used, and that the disk has space.", stage)
    where = f" at the stage '{stage}'" if stage else ""
    return Refusal(UNEXPECTED, f"Something unexpected happened{where} ({type(error).__name__}: {error}).",
                   "Try again; if it happens again, send the details, without the scan, to the developers.", stage,
                   details="".join(traceback.format_exception(error)))


def cancelled(stage: str | None) -> Refusal:
    """The reply to a job that was stopped."""
    return Refusal(CANCELLED, "Cancelled; nothing was written.", None, stage)


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether the error, or what it was raised from, is a lack of memory of the machine or of a GPU."""
    return any(isinstance(one, MemoryError) or type(one).__name__ == "OutOfMemoryError"
               or (isinstance(one, (RuntimeError, OSError)) and any(text in str(one).lower() for text in MEMORY_TEXTS))
               for one in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
