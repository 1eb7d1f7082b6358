"""Errors that a user can meet. Each says what was wrong, what was expected, what was found and how to go on."""

from __future__ import annotations


class UVLMError(Exception):
    """Base of every error that is meant for a user's eyes: commands print it without a traceback."""


class VolumeError(UVLMError):
    """A file, folder or array cannot be used as a CT volume."""


class BundleError(UVLMError):
    """A model bundle is missing, truncated, altered or made for something else."""


class CaseError(UVLMError):
    """A training case or a table of cases cannot be used."""


class StudyError(UVLMError):
    """A study folder cannot be written or read."""


class EditError(UVLMError):
    """An edit of a report is not possible, or a saved report cannot be read; nothing was changed."""


class SignedError(EditError):
    """The report is signed: its text stays as it is, and an addendum says what has to be said."""


class RecipeError(UVLMError):
    """A training recipe or a model configuration has a wrong or unknown entry."""


class Cancelled(UVLMError):
    """The user cancelled; nothing half-written was left behind."""
