"""Stand-in for `slicer.i18n`: the language of the harness is English."""

from __future__ import annotations


def translate(context: str, text: str) -> str:
    """The text itself."""
    return text


def tr(text: str) -> str:
    """The text itself; modules import this as `_`."""
    if not isinstance(text, str):
        raise TypeError(f"only strings can be translated, not {text!r}")
    return text
