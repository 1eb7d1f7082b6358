"""The three stages end to end on a tiny model, and a run that is killed again and again."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from uvlm_core.errors import Cancelled, CaseError, RecipeError
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


NURSERY = """
import os, sys
from uvlm_core.training import classification, reporting, run, segmentation
for _ in sys.stdin:
    child = os.fork()  # at once, with everything imported
    if child == 0:
        run.train_command(sys.argv[1], sys.argv[2])
        os._exit(0)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_killed_ten_times_at_random_moments_equals_never_killed(finished, recipe, tmp_path):
    weights, _ = finished
    out, dice = tmp_path / "killed", random.Random(1)
    nursery = subprocess.Popen([sys.executable, "-c", NURSERY, str(recipe), str(out)], cwd=ROOT, text=True,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                               env={**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())})
    with nursery:
        for _ in range(10):
            child = _start(nursery)
            _wait_for_changes(out, dice.randint(1, 3))  # cases, tokens, steps, checkpoints, weights
            time.sleep(dice.uniform(0, 0.05))
            os.kill(child, signal.SIGKILL)
            assert nursery.stdout.readline() == "-9\n"
        _start(nursery)
        assert nursery.stdout.readline() == "0\n"
    for path in sorted(weights.parents[1].glob("stage*/model.safetensors")):
        whole, resumed = load_file(path), load_file(out / path.parent.name / path.name)
        assert all(torch.equal(resumed[name], whole[name]) for name in whole), path
    for name, stage in zip(sorted(path.name for path in out.glob("stage*")), RECIPE["stages"], strict=True):
        rows = [json.loads(line)["step"] for line in (out / name / "metrics.jsonl").read_text().splitlines()]
        assert rows == list(range(1, stage["steps"] + 1))
    assert not list(out.rglob("*.writing"))


def _start(nursery) -> int:
    nursery.stdin.write("\n")
    nursery.stdin.flush()
    return int(nursery.stdout.readline())


def _wait_for_changes(folder: Path, count: int) -> None:
    def content():
        return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}

    limit, before = time.monotonic() + 60, None
    while count >= 0 and time.monotonic() < limit:
        try:
            now = content()
        except FileNotFoundError:  # renamed while we looked
            continue
        if now != before:
            before, count = now, count - 1
        time.sleep(0.002)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit on the size of files")
def test_a_full_disk_is_named_and_the_run_goes_on_afterwards(recipe, tmp_path):
    import resource

    train_command(recipe, tmp_path / "run", stage=1)  # makes the cases
    shutil.rmtree(tmp_path / "run" / "stage1-segmentation")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(CaseError, match=r"checkpoint\.safetensors cannot be written.*disk has space"):
            train_command(recipe, tmp_path / "run", stage=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.rglob("*.writing"))
    assert train_command(recipe, tmp_path / "run", stage=1).exists()


@pytest.mark.parametrize("pattern", ["cases/*", "tokens/*/*.safetensors"])
def test_it_is_stopped_between_cases_and_goes_on_with_the_others(tmp_path, pattern):
    """While they are put on the grid and while they are encoded: with many cases both take hours."""
    stages = [{**RECIPE["stages"][2], "recombined": 0.0, "steps": 1}]
    (tmp_path / "tiny.json").write_text(json.dumps({**RECIPE, "stages": stages}))
    for count in (1, 3):
        with pytest.raises(Cancelled):
            train_command(tmp_path / "tiny.json", tmp_path / "run",
                          cancel=lambda: len(list((tmp_path / "run").glob(pattern))) == count)
        assert len(list((tmp_path / "run").glob(pattern))) == count
    assert train_command(tmp_path / "tiny.json", tmp_path / "run").exists()


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
