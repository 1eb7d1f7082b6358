"""Writing texts and weights so that a reader never sees half of a file, with errors that say what to do."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from uvlm_core.errors import CaseError


def replace_file(path: str | Path, write: Callable[[TextIO], None]) -> Path:
    """Calls `write` with a file beside `path` (UTF-8, no newline translation) and renames it; folders are made.

    Raises:
        CaseError: the path is a folder, its folder cannot be made or written to, or the disk is full; nothing
            half-written stays.
    """
    path = Path(path)
    if path.is_dir():
        raise CaseError(f"{path} is a folder; the name of a file is expected there.")
    beside = path.with_name(f".{path.name}.{os.getpid()}.writing")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(beside, "w", newline="", encoding="utf-8") as file:
                write(file)
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    return path


def replace_text(path: str | Path, text: str) -> Path:
    """`replace_file` with a text."""
    return replace_file(path, lambda file: file.write(text))


def replace_tensors(path: str | Path, tensors: dict, metadata: dict[str, str] | None = None) -> Path:
    """Writes torch tensors, none of which shares memory with another, as safetensors beside `path` and renames that.

    Raises:
        CaseError: the folder cannot be written to, or the disk is full; nothing half-written stays.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    beside = path.with_name(path.name + ".writing")
    try:
        save_file(tensors, beside, metadata)
        os.replace(beside, path)
    except (OSError, SafetensorError) as error:
        beside.unlink(missing_ok=True)
        raise unwritable(path, error) from error
    return path


def write_npy(path: str | Path, array) -> None:
    """numpy.save through Python's own file: numpy's way of writing does not say why the disk refused (no errno)."""
    import numpy as np

    array = np.ascontiguousarray(array)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def unwritable(path: Path, error: Exception) -> CaseError:
    """The error of a file or folder that could not be written."""
    return CaseError(f"{path} cannot be written: {getattr(error, 'strerror', None) or error}. "
                     "Check that the folder may be written to and that the disk has space, then run the command again.")
