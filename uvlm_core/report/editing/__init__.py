"""The editable report (docs/report-editing.md)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uvlm_core.errors import EditError, SignedError
    from uvlm_core.report.editing.differences import Difference, SentenceDifference, word_differences
    from uvlm_core.report.editing.report import EditableReport, training_text

__all__ = ["Difference", "EditError", "EditableReport", "SentenceDifference", "SignedError", "training_text",
           "word_differences"]
_PLACES = {"EditError": "uvlm_core.errors", "SignedError": "uvlm_core.errors",
           **dict.fromkeys(("Difference", "SentenceDifference", "word_differences"), f"{__name__}.differences"),
           **dict.fromkeys(("EditableReport", "training_text"), f"{__name__}.report")}


def __getattr__(name: str) -> Any:
    """Imported when first asked for: all at once takes an eighth of a second, for which a window must not stop."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
