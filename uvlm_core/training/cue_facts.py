"""Cues of a training case from the findings that were planted in it, as the masks will give them at inference."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from uvlm_core.labels import finding_named
from uvlm_core.report.cues import Cue

PROBABILITIES = (0.35, 1.0)


def cues_of_planted(planted: Iterable[dict], rng: np.random.Generator | None = None) -> list[Cue]:
    """One cue per finding name: place and size of the largest lesion, both sides where it has both, the count.

    Args:
        planted: PlantedFinding as plain dicts.
        rng: draws the probability, down to where thresholds may lie; without it every cue is certain.
    """
    groups: dict[str, list[dict]] = {}
    for row in planted:
        groups.setdefault(row["name"], []).append(row)
    return [_cue(name, rows, 1.0 if rng is None else rng.uniform(*PROBABILITIES)) for name, rows in groups.items()]


def _cue(name: str, rows: list[dict], probability: float) -> Cue:
    largest = max(rows, key=lambda row: (row["size_mm"] or 0, row["volume_ml"] or 0))
    sides = {row["side"] for row in rows} - {None}
    side = "bilateral" if sides >= {"left", "right"} or "bilateral" in sides else next(iter(sides), None)
    size = largest["size_mm"] if finding_named(name).measure is not None else None
    return Cue(name, float(probability), side, largest["place"], size, len(rows))
