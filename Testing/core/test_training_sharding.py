"""A language model that is shared out over two processes learns what it learns in one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from test_model_hf_language import LORA, language_folder, language_tokenizer  # noqa: F401
from test_training_processes import _rows
from test_training_run import RECIPE, ROOT

from uvlm_core.errors import RecipeError
from uvlm_core.training import sharding
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import build_model, train_command

TWICE = """
import os, sys
from pathlib import Path
from torch import distributed
from uvlm_core.training.run import train_command

for folder in map(Path, sys.argv[1:]):
    for name in ("first", "second"):  # the second time from the checkpoint
        weights = train_command(folder / "tiny.json", folder / "two")
        distributed.barrier()
        if os.environ["RANK"] == "0":
            weights.rename(weights.with_name(name))
        distributed.barrier()
"""


def test_two_processes_that_share_a_language_model_give_what_one_gives(tmp_path, language_folder):  # noqa: F811
    stage = {"kind": "report", "steps": 2, "rate": 0.01, "warm_up": 0, "batch": 2, "accumulate": 3, "recombined": 0.5,
             "freeze_encoder": True, "precision": "fp32", "validate_every": 1, "keep_best": True, "clip": 0.5}
    folders = {name: tmp_path / name for name in ("full", "lora")}
    (tmp_path / "cases").mkdir()
    for name, folder in folders.items():
        for run in ("one", "two"):
            (folder / run).mkdir(parents=True)
            (folder / run / "cases").symlink_to(tmp_path / "cases")  # made once
        model = {"folder": str(language_folder), **({"lora": LORA} if name == "lora" else {})}
        (folder / "tiny.json").write_text(json.dumps({**RECIPE, "stages": [stage], "language_model": model}))
    (tmp_path / "twice.py").write_text(TWICE)
    run = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
                          str(tmp_path / "twice.py"), *map(str, folders.values())], cwd=ROOT, text=True,
                         env={**os.environ, "OMP_NUM_THREADS": "1", "ACCELERATE_USE_FSDP": "true"},
                         capture_output=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    for folder in folders.values():
        alone, shared = train_command(folder / "tiny.json", folder / "one").parent, folder / "two" / "stage1-report"
        for first, second in zip(_rows(alone / "metrics.jsonl"), _rows(shared / "metrics.jsonl"), strict=True):
            assert second == pytest.approx(first, rel=1e-3, abs=1e-5)
        whole = train_command(folder / "tiny.json", folder / "two")  # goes on alone from the same checkpoint
        assert (shared / "first").read_bytes() == (shared / "second").read_bytes() == whole.read_bytes()
        before = build_model(Recipe.from_dict(json.loads((folder / "tiny.json").read_text()))).state_dict()
        one, two = load_file(alone / "model.safetensors"), load_file(shared / "first")
        assert one.keys() == two.keys() == before.keys()
        moved = torch.cat([(one[name] - value).flatten() for name, value in before.items()]).abs().mean()
        apart = torch.cat([(one[name] - two[name]).flatten() for name in before]).abs().mean()
        assert apart < 0.02 * moved


def test_only_what_is_supported_is_shared_out(monkeypatch):
    monkeypatch.delenv("ACCELERATE_USE_FSDP", raising=False)
    assert not sharding.wanted()
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert sharding.wanted()
    monkeypatch.setenv("FSDP_VERSION", "1")
    with pytest.raises(RecipeError, match="--fsdp_version 2"):
        sharding.wanted()
    monkeypatch.setenv("FSDP_VERSION", "2")
    monkeypatch.setenv("FSDP_OFFLOAD_PARAMS", "true")
    with pytest.raises(RecipeError, match="without offloading"):
        sharding.wanted()
