"""True and false parts of lesion masks, and how sure a part must be to be believed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from uvlm_core.inference.cleanup import connected_parts
from uvlm_core.labels import findings, label_named

LEAST_TRUE = 10  # true parts that a choice needs
LIMITS = np.arange(0.5, 0.91, 0.05)  # that are tried; 0 where none is better than none


def focal_labels() -> list[str]:
    """Lesion labels whose parts are lesions of their own, each with a diameter."""
    return sorted({finding.label for finding in findings() if finding.label and finding.measure == "diameter"})


def lesion_parts(winner: np.ndarray, scores: np.ndarray, names: Sequence[str], truth: np.ndarray) -> dict[str, list]:
    """Label -> (voxels, mean probability, whether it touches a true lesion) of each connected part of its mask.

    Args:
        winner: (Z, Y, X) channels of the masks.
        scores: (C, Z, Y, X) probabilities.
        names: label of each channel.
        truth: (Z, Y, X) label ids on the same grid.
    """
    found: dict[str, list] = {}
    for name in focal_labels():
        if name not in names:
            continue
        channel = list(names).index(name)
        connected = connected_parts(winner, channel)
        if connected is None:
            continue
        box, parts, sizes = connected
        sure, real = scores[channel][box].astype(np.float32), truth[box] == label_named(name).id
        numbers = np.arange(1, len(sizes))
        found[name] = [[int(size), round(float(mean), 4), bool(hit)] for size, mean, hit in
                       zip(sizes[1:], ndimage.mean(sure, parts, numbers),
                           ndimage.maximum(real, parts, numbers), strict=True)]
    return found


def choose_part_limits(cases: Sequence[dict[str, list]]) -> dict[str, float]:
    """Lesion label -> least mean probability of a part, so that the F1 of the kept parts is highest.

    Labels of which too little was found to tell are left out, as are those that no limit makes better.

    Args:
        cases: what `lesion_parts` says of each.
    """
    chosen = {}
    for name in focal_labels():
        parts = [part for case in cases for part in case.get(name, [])]
        true = sum(part[2] for part in parts)
        if true < LEAST_TRUE:
            continue
        best, limit = _f1(parts, 0.0, true), 0.0
        for tried in LIMITS:
            figure = _f1(parts, tried, true)
            if figure > best:
                best, limit = figure, float(tried)
        if limit:
            chosen[name] = round(limit, 2)
    return chosen


def _f1(parts: list, limit: float, true: int) -> float:
    kept = [part for part in parts if part[1] >= limit]
    return 2 * sum(part[2] for part in kept) / (true + len(kept))
