"""Metrics agree with the reference numbers and with hand-computed ones."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest

from uvlm_core.evaluation.cases import case_row, summary
from uvlm_core.evaluation.findings import (
    area_under_curve,
    calibration_error,
    choose_thresholds,
    classification_metrics,
    clinical_reward,
)
from uvlm_core.evaluation.masks import dice, lesion_dice
from uvlm_core.evaluation.text import bleu, clean

UNITS = Path(os.environ.get("UVLM_REFERENCE", "no-reference")) / "fixtures" / "units"
needs_reference = pytest.mark.skipif(not UNITS.exists(), reason="UVLM_REFERENCE does not name the reference fixtures")


@needs_reference
def test_classification_metrics_match_the_reference():
    def table(name):
        with open(UNITS / name, newline="") as file:
            rows = list(csv.DictReader(file))
        return {row.pop("series_id").removesuffix(".nii.gz"): [float(v) for v in row.values()] for row in rows}

    truth, predicted = table("cls_gt.csv"), table("cls_pred.csv")
    expected = json.loads((UNITS / "cls_metrics.json").read_text())
    keys = [key for key in truth if key in predicted]
    got = classification_metrics(np.array([truth[k] for k in keys]), np.array([predicted[k] for k in keys]), 0.5)
    for mine, theirs in zip(got["per_pathology"], expected["per_pathology"], strict=True):
        for key, value in theirs.items():
            if key != "name":
                assert mine[key] == pytest.approx(value), key
    for key, value in expected["macro"].items():
        assert got["macro"][key] == pytest.approx(value)


@needs_reference
def test_bleu_matches_the_reference():
    pytest.importorskip("pycocoevalcap", reason="the extra 'eval' is not installed")
    expected = json.loads((UNITS / "bleu.json").read_text())
    assert [clean(text) for text in expected["gt"]] == expected["cleaned_gt"]
    assert [clean(text) for text in expected["pred"]] == expected["cleaned_pred"]
    got = bleu(expected["gt"], expected["pred"])
    for key in ("BLEU_1", "BLEU_2", "BLEU_3", "BLEU_4", "BLEU_mean"):
        assert got[key] == pytest.approx(expected["metrics"][key], rel=1e-6)


@needs_reference
def test_dice_matches_the_reference():
    data = np.load(UNITS / "dice.npz")
    np.testing.assert_allclose(dice(data["pred"], data["gt"], range(1, 6)), data["dice"])


def test_crg_has_its_known_values():
    truth = np.random.default_rng(0).random((50, 18)) < 0.2
    assert clinical_reward(truth, truth) == pytest.approx(1)
    assert clinical_reward(truth, np.zeros_like(truth)) == pytest.approx(1 / 3)
    assert clinical_reward(truth, np.ones_like(truth)) == pytest.approx(1 / 3)


def test_thresholds_separate_what_can_be_separated():
    truth = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float)
    probability = np.array([[0.1, 0.5], [0.2, 0.5], [0.3, 0.5], [0.4, 0.5]])
    thresholds = choose_thresholds(truth, probability)
    assert 0.2 < thresholds[0] <= 0.3
    assert classification_metrics(truth, probability, thresholds)["per_pathology"][0]["f1"] == 1


def test_one_odd_case_does_not_decide_a_threshold():
    truth = np.array([0] * 20 + [1] * 6, float)[:, None]
    probability = np.array([0.01] * 19 + [0.04] + [0.03] + [0.99] * 5)[:, None]
    assert choose_thresholds(truth, probability)[0] == pytest.approx(0.5, abs=0.05)
    probability[20] = 0.3  # a finding whose cases do lie low keeps its low threshold
    probability[21:24] = 0.2
    assert choose_thresholds(truth, probability)[0] < 0.2


def test_a_threshold_is_never_so_low_or_high_that_every_scan_lies_next_to_it():
    truth = np.repeat([[1.0], [0.0]], 20, 0)
    low = np.where(truth > 0, 0.04, 0.02)
    assert choose_thresholds(truth, low)[0] == 0.1
    assert choose_thresholds(truth, 1 - low[::-1])[0] == 0.9


def test_auc_counts_ties_half_and_unknown_rows_not():
    assert area_under_curve(np.array([True, False, False]), np.array([0.5, 0.5, 0.1])) == pytest.approx(0.75)
    truth = np.array([[1.0], [np.nan], [0.0]])
    row = classification_metrics(truth, np.array([[0.9], [0.9], [0.1]]))["per_pathology"][0]
    assert (row["tp"], row["fp"], row["fn"], row["tn"]) == (1, 0, 0, 1)


def test_calibration_error_is_the_gap():
    assert calibration_error(np.array([[1.0], [0.0]]), np.array([[0.75], [0.75]])) == pytest.approx(0.25)


def test_lesion_dice_leaves_small_lesions_out():
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[5:8, 5:8, 5:8] = 19
    assert np.isnan(lesion_dice(truth, truth, 19, (3, 3, 3)))
    truth[5:9, 5:8, 5:8] = 19
    assert lesion_dice(truth, truth, 19, (3, 3, 3)) == 1


def test_figures_that_cannot_be_told_are_left_out():
    """A bundle's figures are JSON, which has no NaN: a model that says no side and no size has no such figure."""
    empty = np.zeros((4, 4, 4), np.uint8)
    row = case_row(empty, empty, (3.0, 3.0, 3.0), {"Lung nodule": 0.7}, "", {"Lung nodule": 1}, [], "Findings: none.")
    figures = summary([row], ["Lung nodule"], {"Lung nodule": 0.5})
    json.dumps(figures, allow_nan=False)
    assert figures["finding_macro_f1"] == 1.0 and figures["sentences_with_side"] == 0
    assert not {"side_accuracy", "size_within_30_percent", "organ_dice", "finding_macro_auc"} & set(figures)
