"""True and false parts of lesion masks, and how sure a part must be to be shown, and to be given a size in the text.

A limit trades false alarms against true lesions. A reader minds both, so it is chosen for the sum of two figures: the
F1 of the parts (a large one counts like a small one) and the mean Dice of the cases that have the lesion. Of limits
that are nearly as good the lowest is taken: few true parts make the best one uncertain, and a lesion that is not shown
is worse than a false alarm. A size is told from where nearly all parts are true: a number is read as a fact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from uvlm_core.inference.cleanup import connected_parts
from uvlm_core.labels import findings, label_named

LEAST_TRUE = 10  # true parts that a choice needs
NEARLY = 0.03
LIMITS = np.arange(0.5, 0.91, 0.05)  # that are tried; 0 where none is better than none
TRUE_SHARE = 0.95  # of the parts whose size is told
SIZE_LIMITS = np.arange(0.5, 0.991, 0.01)


def focal_labels() -> list[str]:
    """Lesion labels whose parts are lesions of their own, each with a diameter."""
    return sorted({finding.label for finding in findings() if finding.label and finding.measure == "diameter"})


def lesion_parts(winner: np.ndarray, scores: np.ndarray, names: Sequence[str], truth: np.ndarray) -> dict[str, dict]:
    """Of each focal lesion label that the model knows: `truth`, the true voxels, and `parts`, for each connected part
    of its mask (voxels, mean probability, voxels that are true).

    Args:
        winner: (Z, Y, X) channels of the masks.
        scores: (C, Z, Y, X) probabilities.
        names: label of each channel.
        truth: (Z, Y, X) label ids on the same grid.
    """
    found: dict[str, dict] = {}
    for name in focal_labels():
        if name not in names:
            continue
        channel, real = list(names).index(name), truth == label_named(name).id
        found[name] = {"truth": int(real.sum()), "parts": []}
        connected = connected_parts(winner, channel)
        if connected is None:
            continue
        box, parts, sizes = connected
        numbers = np.arange(1, len(sizes))
        means = ndimage.mean(scores[channel][box].astype(np.float32), parts, numbers)
        hits = ndimage.sum(real[box], parts, numbers)
        found[name]["parts"] = [[int(size), round(float(mean), 4), int(hit)]
                                for size, mean, hit in zip(sizes[1:], means, hits, strict=True)]
    return found


def choose_part_limits(cases: Sequence[dict[str, dict]]) -> dict[str, float]:
    """Lesion label -> least mean probability of a part that is shown, see above.

    Labels of which too little was found to tell are left out, as are those that no limit makes better.

    Args:
        cases: what `lesion_parts` says of each.
    """
    chosen = {}
    for name in focal_labels():
        rows = [case[name] for case in cases if name in case]
        if sum(hit > 0 for row in rows for _, _, hit in row["parts"]) < LEAST_TRUE:
            continue
        worth = {limit: _worth(rows, limit) for limit in (0.0, *map(float, LIMITS))}
        limit = next(limit for limit, value in worth.items() if value >= max(worth.values()) - NEARLY)
        if limit:
            chosen[name] = round(limit, 2)
    return chosen


def choose_size_limit(cases: Sequence[dict[str, dict]], part_limits: Mapping[str, float]) -> float:
    """Least mean probability from which TRUE_SHARE of the parts that are shown are true, whatever their label; the
    highest that is tried where that few are.

    Args:
        cases: what `lesion_parts` says of each.
        part_limits: of `choose_part_limits`: lesion label -> least mean probability of a part that is shown.
    """
    shown = [(mean, hit > 0) for case in cases for name, row in case.items() for _, mean, hit in row["parts"]
             if mean >= part_limits.get(name, 0)]
    for limit in SIZE_LIMITS:
        true = [hit for mean, hit in shown if mean >= limit - 1e-9]
        if len(true) >= LEAST_TRUE and np.mean(true) >= TRUE_SHARE:
            return round(float(limit), 2)
    return round(float(SIZE_LIMITS[-1]), 2)


def _worth(rows: list[dict], limit: float) -> float:
    """F1 of the parts that are kept plus the mean Dice of the cases that have the lesion."""
    true = sum(hit > 0 for row in rows for _, _, hit in row["parts"])
    kept = [[part for part in row["parts"] if part[1] >= limit] for row in rows]
    found = sum(hit > 0 for parts in kept for _, _, hit in parts)
    dice = [2 * sum(hit for _, _, hit in parts) / (row["truth"] + sum(size for size, _, _ in parts))
            for row, parts in zip(rows, kept, strict=True) if row["truth"]]
    return 2 * found / (true + sum(map(len, kept))) + float(np.mean(dice))
