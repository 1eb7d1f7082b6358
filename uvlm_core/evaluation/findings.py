"""How well findings are told from their absence: precision, recall, F1, AUC, CRG, calibration, thresholds."""

from __future__ import annotations

import numpy as np

LIMITS = 0.1, 0.9  # of a threshold


def classification_metrics(truth: np.ndarray, probability: np.ndarray, thresholds: np.ndarray | float = 0.5,
                           names: list[str] | None = None) -> dict:
    """Per finding and macro-averaged figures.

    Args:
        truth: (N, F) of 0 and 1; NaN rows of a finding are left out.
        probability: (N, F), present where >= the finding's threshold.
        thresholds: (F,) or one for all.
        names: of the findings.

    Returns:
        {"per_pathology": [{name, precision, recall, sensitivity, specificity, f1, auc, tp, tn, fp, fn}], "macro":
        {...}};
        a ratio with nothing to count is 0, an AUC without both kinds NaN and left out of its mean.
    """
    thresholds = np.broadcast_to(np.asarray(thresholds, float), (truth.shape[1],))
    names = names or [str(column) for column in range(truth.shape[1])]
    rows = [{"name": name, **_one(truth[:, column], probability[:, column], thresholds[column])}
            for column, name in enumerate(names)]
    keys = ("precision", "recall", "sensitivity", "specificity", "f1")
    macro = {key: float(np.mean([row[key] for row in rows])) for key in keys}
    areas = [row["auc"] for row in rows if np.isfinite(row["auc"])]
    macro["auc"] = float(np.mean(areas)) if areas else float("nan")
    return {"per_pathology": rows, "macro": macro, "num_samples": len(truth), "num_classes": len(names)}


def _one(truth: np.ndarray, probability: np.ndarray, threshold: float) -> dict:
    known = ~np.isnan(truth)
    actual, score = truth[known] > 0.5, probability[known]
    called = score >= threshold
    tp, fp = int((actual & called).sum()), int((~actual & called).sum())
    fn, tn = int((actual & ~called).sum()), int((~actual & ~called).sum())
    precision, recall = _ratio(tp, tp + fp), _ratio(tp, tp + fn)
    return {"precision": precision, "recall": recall, "sensitivity": recall, "specificity": _ratio(tn, tn + fp),
            "f1": _ratio(2 * tp, 2 * tp + fp + fn), "auc": area_under_curve(actual, score),
            "tp": tp, "tn": tn, "fp": fp, "fn": fn}


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def area_under_curve(actual: np.ndarray, score: np.ndarray) -> float:
    """AUC of the ROC as the share of (positive, negative) pairs in the right order, ties counting half."""
    from scipy.stats import rankdata

    positives = int(actual.sum())
    negatives = len(actual) - positives
    if not positives or not negatives:
        return float("nan")
    ranks = rankdata(score)[actual].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * negatives))


def choose_thresholds(truth: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """(F,) thresholds of the highest F1, in the middle between the two neighbouring probabilities.

    Of thresholds that half a missed case would make equal, the one nearest to one half is taken: a single case with
    a probability of 0.03 must not decide how every scan is read. For the same reason none is outside LIMITS: beside a
    threshold of 0.03 every healthy scan would be uncertain. Findings that are never present or never absent keep 0.5.
    """
    chosen = np.full(truth.shape[1], 0.5)
    for column in range(truth.shape[1]):
        known = ~np.isnan(truth[:, column])
        actual, score = truth[known, column] > 0.5, probability[known, column]
        if not actual.any() or actual.all():
            continue
        edges = np.unique(score)
        middles = np.concatenate([(edges[1:] + edges[:-1]) / 2, [0.5]])
        figures = [_one(actual.astype(float), score, middle)["f1"] for middle in middles]
        one_case = 1 / (2 * actual.sum() - 1)  # what a perfect F1 loses by one miss
        enough = max(figures) - one_case / 2
        equal = [middle for middle, figure in zip(middles, figures, strict=True) if figure >= enough]
        chosen[column] = min(equal, key=lambda middle: abs(middle - 0.5))
    return chosen.clip(*LIMITS)


def calibration_error(truth: np.ndarray, probability: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over all findings: mean gap of stated and observed frequency, weighted by bin."""
    known = ~np.isnan(truth)
    actual, score = truth[known], probability[known]
    which = np.minimum((score * bins).astype(int), bins - 1)
    gaps = [(which == b).mean() * abs(actual[which == b].mean() - score[which == b].mean())
            for b in range(bins) if (which == b).any()]
    return float(sum(gaps))


def clinical_reward(truth: np.ndarray, called: np.ndarray) -> float:
    """CRG (VLM3D): U / (2U - s) with r = (X - A) / 2A, U = (X - A) / 2, s = r TP - r FN - FP.

    Args:
        truth, called: (N, F) of 0 and 1; X is their number of entries, A the number of positives.

    Returns:
        1 for a perfect answer, 1/3 for always-yes and always-no.
    """
    actual, called = truth > 0.5, called > 0.5
    entries, positives = actual.size, int(actual.sum())
    if not positives or positives == entries:
        return float("nan")
    worth, most = (entries - positives) / (2 * positives), (entries - positives) / 2
    score = worth * (actual & called).sum() - worth * (actual & ~called).sum() - (~actual & called).sum()
    return float(most / (2 * most - score))
