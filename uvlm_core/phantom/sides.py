"""Left and right in the words of a report."""

from __future__ import annotations

import re

_PAIRS = {"left": "right", "right": "left", "lingula": "middle lobe", "lingular": "middle lobe",
          "middle lobe": "lingula"}
_WORDS = re.compile(r"\b(right middle lobe|left|right|lingular|lingula|middle lobe)\b", re.IGNORECASE)


def swap_sides(text: str) -> str:
    """The text of the mirror image: left for right, lingula for middle lobe and back, capitals kept.

    The "right middle lobe" becomes the lingula, which needs no side.
    """
    def swap(match: re.Match) -> str:
        word = match.group()
        other = "lingula" if word.lower() == "right middle lobe" else _PAIRS[word.lower()]
        return other.capitalize() if word[0].isupper() else other

    return _WORDS.sub(swap, text)
