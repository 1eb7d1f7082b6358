"""Cues: what the other two heads found, as a few words in front of the report that the decoder is to write.

Level "probabilities" names the findings and how sure the classifier is; level "measurements" adds side, place and size
as measured in the masks, so that numbers and sides in the text come from the image and not from habit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uvlm_core.errors import RecipeError
from uvlm_core.labels import finding_named, findings, regions

LEVELS = ("none", "probabilities", "measurements")


@dataclass(frozen=True)
class Cue:
    """One present finding: probability 0..1, side, place ("right upper lobe"), size in mm, number of lesions."""

    name: str
    probability: float = 1.0
    side: str | None = None
    place: str | None = None
    size_mm: float | None = None
    count: int = 1


def write_cues(cues: Iterable[Cue], imaged: Iterable[str], level: str) -> str:
    """The prompt, one line per finding in CT-RATE's order after a line of the imaged regions; "" for level "none".

    Args:
        cues: the findings that are present.
        imaged: region names that are in the field of view.
        level: one of LEVELS.

    Raises:
        RecipeError: unknown level.
    """
    if level not in LEVELS:
        raise RecipeError(f"Cues have the levels {', '.join(LEVELS)}; found '{level}'.")
    if level == "none":
        return ""
    order = {finding.name: number for number, finding in enumerate(findings())}
    seen = set(imaged)
    lines = ["Imaged: " + ", ".join(name for name in regions() if name in seen)]
    lines += [_line(cue, level) for cue in sorted(cues, key=lambda cue: order[cue.name])]
    return "\n".join(lines)


def _line(cue: Cue, level: str) -> str:
    line = f"{finding_named(cue.name).name} {min(9, int(cue.probability * 10))}"
    if level == "probabilities":
        return line
    words = []
    if cue.place:
        words.append(cue.place)
    if cue.side and cue.side not in (cue.place or ""):
        words.append(cue.side)
    if cue.size_mm:
        words.append(f"{round(cue.size_mm)} mm")
    if cue.count > 1:
        words.append(f"{min(cue.count, 9)} times")
    return f"{line}: {', '.join(words)}" if words else line
