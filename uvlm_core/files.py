"""Writing text files so that a reader never sees half of one, with errors that say what to do."""

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


def unwritable(path: Path, error: OSError) -> CaseError:
    """The error of a file or folder that could not be written."""
    return CaseError(f"{path} cannot be written: {error.strerror or error}. "
                     "Check that the folder may be written to and that the disk has space, then run the command again.")
