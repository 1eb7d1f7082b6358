"""The three stages end to end on a tiny model, and a run that is killed again and again."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uvlm_core.errors import CaseError, RecipeError
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import build_model, load_weights, train_command

ROOT = Path(__file__).resolve().parents[2]
PHANTOM = {"kind": "phantoms", "shape": [48, 64, 64], "spacing": [5.0, 6.0, 6.0]}
RECIPE = {
    "name": "tiny", "preset": "demo", "seed": 5, "tokenizer_size": 700,
    "model": {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]},
              "classifier": {"width": 16, "n_heads": 2}, "language": {"width": 32, "ffn": 32, "n_heads": 2},
              "grid": {"spacing": [6.0, 6.0, 6.0]}},
    "data": [{"name": "train", "count": 3, "first_seed": 10, **PHANTOM},
             {"name": "held", "count": 1, "first_seed": 50, "held_out": True, **PHANTOM}],
    "stages": [
        {"kind": "segmentation", "steps": 6, "patch": [32, 32, 32], "checkpoint_every": 2, "validate_every": 6,
         "precision": "fp32"},
        {"kind": "classification", "steps": 3, "encoder_rate": 0.1, "segmentation_weight": 1.0, "precision": "fp32"},
        {"kind": "report", "steps": 4, "batch": 2, "freeze_encoder": True, "precision": "fp32"},
    ],
}


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(RECIPE))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "tiny.json").write_text(json.dumps(RECIPE))
    return train_command(folder / "tiny.json", folder / "run"), folder


def test_three_stages_leave_weights_logs_and_tokenizer(finished):
    weights, folder = finished
    run = folder / "run"
    assert weights == run / "stage3-report" / "model.safetensors"
    for number, stage in enumerate(RECIPE["stages"], 1):
        rows = [json.loads(line) for line in
                (run / f"stage{number}-{stage['kind']}" / "metrics.jsonl").read_text().splitlines()]
        assert [row["step"] for row in rows] == list(range(1, stage["steps"] + 1))
    assert {"finding_loss", "segmentation_loss"} <= set(json.loads(
        (run / "stage2-classification" / "metrics.jsonl").read_text().splitlines()[0]))
    assert (run / "tokenizer.json").exists() and (run / "environment.json").exists()


def test_a_frozen_encoder_does_not_move_and_the_decoder_does(finished):
    _, folder = finished
    before = load_file(folder / "run" / "stage2-classification" / "model.safetensors")
    after = load_file(folder / "run" / "stage3-report" / "model.safetensors")
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"injection", "language"}


def test_a_finished_run_is_not_trained_again(finished):
    weights, folder = finished
    stamp = weights.stat().st_mtime_ns
    assert train_command(folder / "tiny.json", folder / "run") == weights
    assert weights.stat().st_mtime_ns == stamp


def test_killed_at_random_moments_and_resumed_equals_never_killed(finished, recipe, tmp_path):
    weights, _ = finished
    out = tmp_path / "killed"
    code = f"from uvlm_core.training.run import train_command; train_command({str(recipe)!r}, {str(out)!r}, stage=1)"
    dice = random.Random(1)
    kills = 0
    for _ in range(30):
        process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.DEVNULL,
                                   env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())})
        log = out / "stage1-segmentation" / "metrics.jsonl"
        seen = len(log.read_text().splitlines()) if log.exists() else 0
        limit = time.monotonic() + 60
        wanted = seen + dice.randint(1, 3) if kills < 2 else 99  # wait for a few steps, then kill
        while process.poll() is None and time.monotonic() < limit:
            if log.exists() and len(log.read_text().splitlines()) >= wanted:
                process.send_signal(signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        if process.wait() == 0:
            break
    assert kills >= 1
    resumed = load_file(out / "stage1-segmentation" / "model.safetensors")
    whole = load_file(weights.parents[1] / "stage1-segmentation" / "model.safetensors")
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_weights_of_another_model_are_refused_by_name(finished):
    weights, _ = finished
    changed = json.loads(json.dumps(RECIPE))
    changed["model"]["encoder"]["features"][0] = 8
    with pytest.raises(RecipeError, match=r"encoder\.stem.*instead of"):
        load_weights(build_model(Recipe.from_dict(changed)), weights)


def test_missing_data_is_named(tmp_path, monkeypatch):
    monkeypatch.delenv("UVLM_DATA", raising=False)
    path = tmp_path / "r.json"
    path.write_text(json.dumps({**RECIPE, "data": [{"name": "scan", "kind": "real", "image": "scan.nii.gz"}]}))
    with pytest.raises(CaseError, match="--data"):
        train_command(path, tmp_path / "run")
    with pytest.raises(CaseError, match=r"scan\.nii\.gz"):
        train_command(path, tmp_path / "run", data=tmp_path)
    with pytest.raises(RecipeError, match="stages 1 to 3"):
        train_command(path, tmp_path / "run", stage=7)
