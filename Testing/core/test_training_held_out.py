"""What the held-out cases of a run tell, and the pictures and files of the worst ones."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from test_training_run import RECIPE

from uvlm_core.datasets.picture import GAP, draw_case, draw_pair
from uvlm_core.errors import RecipeError
from uvlm_core.evaluation.held_out import case_score, f1, finding_counts, label_figures, mistakes
from uvlm_core.labels import label_named
from uvlm_core.training.comparison import held_out_results
from uvlm_core.training.export import export_run
from uvlm_core.training.held_out import FOLDER, IMAGE, LIST, MOST_SHOWN, PICTURE, PREDICTED, TRUTH, worst_label
from uvlm_core.training.run import train_command
from uvlm_core.volumes.volume import Volume


def case(present: dict, told: dict, overlap: dict | None) -> dict:
    return {"present": present, "before": None, "after": {"overlap": overlap, "probabilities": told}}


def test_figures_are_counted_over_all_cases():
    cases = [case({"nodule": 1}, {"nodule": 0.6}, {"heart": [10, 10], "lung_nodule": [0, 4], "liver": [0, 0]}),
             case({"nodule": 0}, {"nodule": 0.3}, {"heart": [30, 70]}),
             case({"nodule": 1}, {"nodule": 0.2}, None), case({}, {"nodule": 0.9}, None)]
    assert label_figures(cases, "after") == {"heart": 0.5, "lung_nodule": 0.0}
    assert label_figures(cases, "before") == {}
    counts = finding_counts(cases, "after", "nodule", 0.25)
    assert counts == {"found": 1, "present": 2, "called": 1, "absent": 1} and f1(counts) == pytest.approx(0.5)
    assert finding_counts(cases, "before", "nodule", 0.25)["present"] == 0
    assert f1(finding_counts(cases[1:2], "after", "nodule", 0.25)) is None
    assert case_score(cases[0], "after", ["heart"]) == pytest.approx((1 + 0 + 0.6) / 3)
    assert mistakes(cases[0], "after", {"nodule": 0.7}) == (["nodule"], [])
    assert mistakes(cases[1], "after", {"nodule": 0.3}) == ([], ["nodule"])
    assert mistakes(cases[2], "after", {}) == (["nodule"], [])
    assert worst_label({"heart": [1, 10], "lung_nodule": [5, 6], "liver": [0, 0]}, {"heart"}) == {"lung_nodule"}
    assert worst_label({"liver_lesion": [0, 6], "lung_nodule": [0, 9]}, {"lung_nodule"}) == {"lung_nodule"}
    assert worst_label({"heart": [9, 10], "liver": [1, 10]}, set()) == {"liver"} and worst_label(None, set()) == set()


def test_truth_and_prediction_are_drawn_through_the_same_place():
    volume = Volume(np.zeros((20, 30, 40), np.int16), np.diag([1.0, 1, 1, 1]))
    truth, predicted = np.zeros((2, 20, 30, 40), np.uint8)
    heart = label_named("heart")
    predicted[5:9, 10:14, 20:24] = heart.id
    picture = draw_pair(volume, truth, predicted, {"heart"})
    single = draw_case(volume, predicted, {"heart"})
    assert picture.shape == (2 * len(single) + GAP, single.shape[1], 3)
    above, below = picture[: len(single)], picture[len(single) + GAP :]
    assert np.array_equal(below, single) and not np.array_equal(above, below)
    coloured = (np.ptp(above.astype(int), axis=2) > 20).any(), (np.ptp(below.astype(int), axis=2) > 20).any()
    assert coloured == (False, True)  # the truth is empty there
    assert np.array_equal(draw_pair(volume, None, predicted, {"heart"}), single)


def test_the_worst_cases_of_a_run_can_be_looked_at(tmp_path):
    phantoms = {name: value for name, value in RECIPE["data"][1].items() if name != "count"}
    stage = {"kind": "classification", "steps": 2, "patch": [32, 32, 32], "segmentation_weight": 1.0,
             "precision": "fp32"}
    (tmp_path / "tiny.json").write_text(json.dumps({
        **RECIPE, "stages": [stage], "data": [RECIPE["data"][0], {**phantoms, "count": 2}]}))
    train_command(tmp_path / "tiny.json", tmp_path / "run")
    found = held_out_results(tmp_path / "run")
    assert found["before"] == {} and found["refused"] == []  # there is no model that it started from
    assert {"organ_dice", "macro_f1"} <= set(found["after"]["held"])
    folder = tmp_path / "run" / FOLDER
    rows = json.loads((folder / LIST).read_text())["cases"]
    assert {row["name"] for row in rows} == {"held_50", "held_51"}
    assert rows[0]["score"]["after"] <= rows[1]["score"]["after"] and all(row["files"] for row in rows[:MOST_SHOWN])
    dice = label_figures(rows, "after")
    organs = [value for name, value in dice.items() if label_named(name).kind == "organ"]
    assert found["after"]["held"]["organ_dice"] == pytest.approx(np.mean(organs))
    for row in rows:
        image, truth, predicted = (nibabel.load(folder / row["name"] / name) for name in (IMAGE, TRUTH, PREDICTED))
        assert image.shape == truth.shape == predicted.shape and np.allclose(image.affine, truth.affine)
        ours, theirs = (np.asarray(one.dataobj) == label_named("heart").id for one in (predicted, truth))
        assert row["after"]["overlap"]["heart"] == [2 * int((ours & theirs).sum()), int(ours.sum() + theirs.sum())]
        assert (folder / row["name"] / PICTURE).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(RecipeError, match=r"no tokenizer.*Add a report stage"):
        export_run(tmp_path / "run", tmp_path / "bundle")
