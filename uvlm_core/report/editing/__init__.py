"""The editable report (docs/report-editing.md)."""

from uvlm_core.errors import EditError, SignedError
from uvlm_core.report.editing.differences import Difference, SentenceDifference, word_differences
from uvlm_core.report.editing.report import EditableReport, training_text

__all__ = ["Difference", "EditError", "EditableReport", "SentenceDifference", "SignedError", "training_text",
           "word_differences"]
