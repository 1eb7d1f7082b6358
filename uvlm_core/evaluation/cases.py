"""Measures a model on cases with known truth: one row of plain numbers per case, and the summary of all rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uvlm_core.evaluation.findings import calibration_error, classification_metrics, clinical_reward
from uvlm_core.evaluation.masks import dice, lesion_dice
from uvlm_core.evaluation.sentences import side_counts, size_counts
from uvlm_core.labels import labels
from uvlm_core.report.labeler import label_report


def case_row(predicted: np.ndarray, truth: np.ndarray, spacing: tuple[float, float, float],
             probabilities: dict[str, float], text: str, present: dict[str, int], planted: Sequence[dict],
             report: str) -> dict:
    """One case as JSON values.

    Args:
        predicted, truth: (Z, Y, X) label maps on the same grid; `spacing` (z, y, x) mm.
        text: the model's report; `report`: the true one.
        present: finding -> 0 / 1; `planted`: the true lesions with name, side and size_mm.
    """
    organs = [label for label in labels() if label.kind == "organ"]
    lesions = [label for label in labels() if label.kind == "lesion"]
    overlap = dice(predicted, truth, [label.id for label in organs])
    return {
        "organ_dice": {label.name: _number(value) for label, value in zip(organs, overlap, strict=True)},
        "lesion_dice": {label.name: _number(lesion_dice(predicted, truth, label.id, spacing)) for label in lesions},
        "probabilities": probabilities, "present": present, "text_labels": label_report(text),
        "sides": side_counts(text, planted), "sizes": size_counts(text, planted), "text": text, "report": report,
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)


def summary(rows: Sequence[dict], assessed: Sequence[str], thresholds: dict[str, float]) -> dict:
    """Figures over all rows: means, macro F1 of probabilities and of the text, sides, sizes, BLEU where installed.

    A figure that the rows cannot tell, as the sides of no sentence, is left out: JSON has no number for it.
    """
    truth = np.array([[row["present"][name] for name in assessed] for row in rows], float)
    probability = np.array([[row["probabilities"][name] for name in assessed] for row in rows])
    spoken = np.array([[row["text_labels"][name] for name in assessed] for row in rows], float)
    limits = np.array([thresholds.get(name, 0.5) for name in assessed])
    heads = classification_metrics(truth, probability, limits, list(assessed))
    words = classification_metrics(truth, spoken, 0.5, list(assessed))
    organs, lesions = _means(rows, "organ_dice"), _means(rows, "lesion_dice")
    figures = {
        "cases": len(rows), "organ_dice": _mean(organs), "lesion_dice_10mm": _mean(_pooled(rows)),
        "finding_macro_f1": heads["macro"]["f1"], "finding_macro_auc": heads["macro"]["auc"],
        "text_macro_f1": words["macro"]["f1"], "text_crg": clinical_reward(truth, spoken),
        "calibration_error": calibration_error(truth, probability),
        "side_accuracy": _share(rows, "sides"), "sentences_with_side": sum(row["sides"][1] for row in rows),
        "size_within_30_percent": _share(rows, "sizes"), "sentences_with_size": sum(row["sizes"][1] for row in rows),
        "organ_dice_per_label": organs, "lesion_dice_10mm_per_label": lesions,
        "finding_f1_per_name": {row["name"]: round(row["f1"], 4) for row in heads["per_pathology"]},
        "text_f1_per_name": {row["name"]: round(row["f1"], 4) for row in words["per_pathology"]},
    }
    figures |= _bleu(rows)
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in figures.items()
            if value == value}  # NaN is no figure


def _means(rows: Sequence[dict], key: str) -> dict[str, float]:
    """Mean per label over the cases that have it."""
    names = rows[0][key]
    values = {name: [row[key][name] for row in rows if row[key][name] is not None] for name in names}
    return {name: round(float(np.mean(found)), 4) for name, found in values.items() if found}


def _pooled(rows: Sequence[dict]) -> dict:
    """Every (case, lesion label) with a lesion of at least 10 mm counts once."""
    values = [value for row in rows for value in row["lesion_dice"].values() if value is not None]
    return dict(enumerate(values))


def _mean(values: dict) -> float:
    return float(np.mean(list(values.values()))) if values else float("nan")


def _share(rows: Sequence[dict], key: str) -> float:
    right, counted = (sum(row[key][part] for row in rows) for part in (0, 1))
    return right / counted if counted else float("nan")


def _bleu(rows: Sequence[dict]) -> dict:
    from uvlm_core.errors import UVLMError
    from uvlm_core.evaluation.text import bleu

    try:
        return {"bleu_mean": bleu([row["report"] for row in rows], [row["text"] for row in rows])["BLEU_mean"]}
    except UVLMError:  # the scorer is an extra
        return {}
