"""What is said about each finding: probability against threshold, imaged or not, side, and the masks that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uvlm_core.inference.field_of_view import ABSENT, FieldOfView
from uvlm_core.labels import Finding, finding_named
from uvlm_core.report.cues import Cue
from uvlm_core.report.segments import Segment, side_of, without_fragments

UNCERTAIN_MARGIN = 0.05  # a probability nearer to its threshold than this is neither present nor absent
DEFAULT_THRESHOLD = 0.5


def finding_rows(probabilities: Mapping[str, float], thresholds: Mapping[str, float], assessed: Sequence[str],
                 view: FieldOfView, segments: Sequence[Segment]) -> list[dict]:
    """The `findings` of study.json, in the model's order.

    Args:
        probabilities: finding -> 0..1.
        thresholds: finding -> probability from which it is present.
        assessed: findings that the model was trained to tell.
        view: what the scan shows.
        segments: the measured masks.
    """
    return [_row(finding_named(name), value, thresholds.get(name, DEFAULT_THRESHOLD), name in assessed, view, segments)
            for name, value in probabilities.items()]


def _row(finding: Finding, probability: float, threshold: float, assessed: bool, view: FieldOfView,
         segments: Sequence[Segment]) -> dict:
    coverage = view.of_finding(finding.name)
    own = [segment for segment in segments if segment.label == finding.label]
    present: bool | None = probability >= threshold
    if not assessed:
        state, present = "not assessed", None
    elif coverage == ABSENT:
        state, present = "not imaged", None
    elif abs(probability - threshold) < UNCERTAIN_MARGIN:
        state = "uncertain"
    else:
        state = "present" if present else "absent"
    return {"name": finding.name, "region": finding.region, "probability": round(probability, 5),
            "threshold": round(float(threshold), 5), "present": present, "state": state, "coverage": coverage,
            "side": side_of(own) if finding.lateralised else None, "segments": [segment.id for segment in own]}


def cues_of(rows: Sequence[dict], segments: Sequence[Segment]) -> list[Cue]:
    """The present findings as cues, with side, place, size and number as measured in their masks."""
    by_id = {segment.id: segment for segment in segments}
    cues = []
    for row in rows:
        if not row["present"]:
            continue
        own = without_fragments([by_id[name] for name in row["segments"]
                                 if by_id[name].longest_diameter_mm is not None])
        largest = max(own, key=lambda segment: segment.longest_diameter_mm, default=None)
        sized = finding_named(row["name"]).measure is not None and largest is not None
        cues.append(Cue(row["name"], row["probability"], row["side"], largest.place if largest else None,
                        largest.longest_diameter_mm if sized else None, max(1, len(own))))
    return cues
