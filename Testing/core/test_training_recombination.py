"""Recombined findings: endless true texts from few cases, learnt without an image."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.torch import load_file
from test_training_run import RECIPE

from uvlm_core.report.cues import write_cues
from uvlm_core.report.labeler import label_report
from uvlm_core.training.cue_facts import cues_of_planted
from uvlm_core.training.prepare import prepare, report_of
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.recombination import FindingPool
from uvlm_core.training.run import build_model, train_command
from uvlm_core.volumes.grid import GridSpec

SOURCE = {"name": "pool", "kind": "phantoms", "count": 3, "first_seed": 30, "shape": [40, 56, 56], "share": 0.8,
          "spacing": [6.0, 6.0, 6.0]}


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return prepare([SOURCE], GridSpec(spacing=(6.0, 6.0, 6.0)), tmp_path_factory.mktemp("cases"), None)


def test_draws_reach_from_nothing_to_more_than_any_case_has(cases):
    pool, rng = FindingPool(cases), np.random.default_rng(1)
    counts = [len({row["name"] for row in pool.draw(rng)[0]}) for _ in range(200)]
    assert min(counts) <= 1 and max(counts) > max(len({row["name"] for row in case.planted}) for case in cases)


def test_report_and_cues_of_a_draw_tell_the_same_findings_and_sizes(cases):
    pool, rng = FindingPool(cases), np.random.default_rng(2)
    for _ in range(40):
        planted, imaged = pool.draw(rng)
        text, cues = report_of(planted, imaged, rng), write_cues(cues_of_planted(planted), imaged, "measurements")
        names = {row["name"] for row in planted}
        labels = label_report(text)
        assert {name for name, value in labels.items() if value == 1} == names, text
        assert all(name in cues for name in names)
        sizes = {word for word in text.replace(".", " ").split() if word.isdigit()}
        assert all(f"{size} mm" in cues for size in sizes), (text, cues)


def test_a_warm_up_learns_words_only(tmp_path):
    stage = {**RECIPE["stages"][2], "recombined": 1.0}
    (tmp_path / "warm.json").write_text(json.dumps({**RECIPE, "stages": [stage]}))
    weights = load_file(train_command(tmp_path / "warm.json", tmp_path / "run"))
    before = build_model(Recipe.from_dict({**RECIPE, "stages": [stage]})).state_dict()
    moved = {name.split(".")[0] for name, value in weights.items() if not value.equal(before[name])}
    assert moved == {"language"}
    assert not (tmp_path / "run" / "tokens").exists()
