"""Figures of a run's held-out cases from what was counted in each: per organ, lesion and finding, before and after.

Plain numbers only, so that a program without torch and numpy can show them. A case is a dictionary, as
`uvlm_core.training.held_out` writes it: `present` (finding -> 0 / 1), and under "before" and "after" (None where there
is no such model) `overlap` (label -> [twice the common voxels, voxels of truth and prediction together]) and
`probabilities` (finding -> 0 to 1).
"""

from __future__ import annotations

from collections.abc import Sequence

MODELS = ("before", "after")


def dice_of(overlap: dict[str, Sequence[float]]) -> dict[str, float]:
    """Dice per label of one case; labels that neither truth nor prediction has are left out."""
    return {name: common / both for name, (common, both) in overlap.items() if both}


def label_figures(cases: Sequence[dict], model: str) -> dict[str, float]:
    """Dice per label over all cases together, so that a large lesion counts more than a small one."""
    sums: dict[str, list[float]] = {}
    for case in cases:
        for name, (common, both) in ((case[model] or {}).get("overlap") or {}).items():
            total = sums.setdefault(name, [0, 0])
            total[0] += common
            total[1] += both
    return dice_of(sums)


def finding_counts(cases: Sequence[dict], model: str, name: str, threshold: float) -> dict[str, int]:
    """{"found", "present", "called", "absent"}: found of the present ones, and called of the absent ones."""
    known = [(case["present"][name], case[model]["probabilities"][name] >= threshold) for case in cases
             if case[model] is not None and name in case["present"] and name in case[model]["probabilities"]]
    return {"found": sum(called for truth, called in known if truth), "present": sum(truth == 1 for truth, _ in known),
            "called": sum(called for truth, called in known if not truth),
            "absent": sum(truth == 0 for truth, _ in known)}


def f1(counts: dict[str, int]) -> float | None:
    """Of `finding_counts`; None where the finding is never present."""
    if not counts["present"]:
        return None
    return 2 * counts["found"] / (counts["found"] + counts["called"] + counts["present"])


def case_score(case: dict, model: str, organs: Sequence[str]) -> float:
    """How well a model did on one case, 0 to 1: the mean of what can be told of the Dice of its organs, the Dice of its
    lesions, and the probability that it gave to what is true of the findings."""
    row = case[model]
    dice, told = dice_of(row["overlap"] or {}), row["probabilities"]
    parts = [[value for name, value in dice.items() if name in organs],
             [value for name, value in dice.items() if name not in organs],
             [1 - abs(told[name] - truth) for name, truth in case["present"].items() if name in told]]
    means = [sum(values) / len(values) for values in parts if values]
    return sum(means) / len(means) if means else 1.0


def mistakes(case: dict, model: str, thresholds: dict[str, float]) -> tuple[list[str], list[str]]:
    """(findings that were missed, findings that were called and are not there); 0.5 where there is no threshold."""
    told, missed, called = case[model]["probabilities"], [], []
    for name, truth in case["present"].items():
        if name in told and (told[name] >= thresholds.get(name, 0.5)) != bool(truth):
            (missed if truth else called).append(name)
    return missed, called
