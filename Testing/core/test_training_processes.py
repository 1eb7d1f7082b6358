"""Many processes: the result of a recipe does not depend on how many of them work on it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training_run import RECIPE, ROOT

from uvlm_core.errors import RecipeError
from uvlm_core.training.processes import Part, parts_of_step
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import build_model, train_command
from uvlm_core.training.sampling import row_generator

FAST = {"steps": 2, "rate": 0.01, "warm_up": 0, "precision": "fp32", "validate_every": 2}
SMALL = {"patch": [32, 32, 32], **FAST}
STAGES = [
    {"kind": "segmentation", "batch": 4, **SMALL},
    {"kind": "classification", "batch": 2, "segmentation_weight": 1.0, **SMALL},
    {"kind": "classification", "batch": 4, "accumulate": 2, "freeze_encoder": True, **FAST},
    {"kind": "report", "batch": 2, "freeze_encoder": True, "recombined": 0.5, "accumulate": 3, **FAST},
    {"kind": "report", "batch": 2, **SMALL},
]


@pytest.mark.parametrize(("batch", "accumulate", "count"), [(4, 1, 2), (1, 4, 4), (2, 4, 8), (6, 4, 3), (3, 2, 6)])
def test_processes_share_every_case_of_a_step_once(batch, accumulate, count):
    seen = []
    for rank in range(count):
        parts = parts_of_step(5, batch, accumulate, rank, count)
        seen += [(part.number, row) for part in parts for row in part.rows(batch)]
        after = parts_of_step(6, batch, accumulate, rank, count)
        assert [part.following for part in parts] == [part.number for part in parts[1:] + after[:1]]
    assert sorted(seen) == [(number, row) for number in range(5 * accumulate, 6 * accumulate) for row in range(batch)]


def test_processes_that_cannot_share_are_told_what_would_fit():
    with pytest.raises(RecipeError, match=r"Start 2 processes, or make batch a multiple of 6"):
        parts_of_step(0, 4, 1, 0, 6)


def test_row_0_has_the_randomness_that_steps_of_one_case_always_had():
    drawn = row_generator(3, 1, Part(17, 18), 0).random(4)
    assert np.array_equal(drawn, np.random.default_rng((3, 1, 17)).random(4))
    assert not np.array_equal(drawn, row_generator(3, 1, Part(17, 18), 1).random(4))


# The program of each of the two: every stage starts from the weights that one process gave the stage before. Of their
# own a few differ by more than rounding, because Adam makes whole steps of gradients that are nothing but rounding.
PROGRAM = """
import sys
from uvlm_core.cli import app
recipe, out, *starts = sys.argv[1:]
for number, start in enumerate(starts, 1):
    more = ["--start", start] if start else []
    app(["train", recipe, "-o", out, "--stage", str(number), *more], standalone_mode=False)
"""


def test_two_processes_give_what_one_gives(tmp_path):
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps({**RECIPE, "stages": STAGES}))
    (tmp_path / "each.py").write_text(PROGRAM)
    train_command(recipe, tmp_path / "one")
    folders = [f"stage{number}-{stage['kind']}" for number, stage in enumerate(STAGES, 1)]
    starts = ["", *(str(tmp_path / "one" / folder / "model.safetensors") for folder in folders[:-1])]
    run = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
                          str(tmp_path / "each.py"), str(recipe), str(tmp_path / "two"), *starts], cwd=ROOT,
                         env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("Weights:") == len(STAGES)  # one of them talks
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2
    before = _weights(build_model(Recipe.from_dict(RECIPE)).state_dict())
    for folder in folders:
        alone, shared = (_rows(tmp_path / name / folder / "metrics.jsonl") for name in ("one", "two"))
        assert len(alone) == len(shared) == 2
        for number, (a, b) in enumerate(zip(alone, shared, strict=True)):
            for name in a:
                assert b[name] == pytest.approx(a[name], rel=1e-4, abs=1e-5), (folder, number, name)
        alone, shared = (_weights(load_file(tmp_path / name / folder / "model.safetensors")) for name in ("one", "two"))
        moved = (alone - before).abs().mean()
        assert moved > 1e-4 and (alone - shared).abs().mean() < 0.02 * moved, folder
        before = alone


STOPPED = """
import sys
from pathlib import Path
from uvlm_core.errors import Cancelled
from uvlm_core.training import processes
from uvlm_core.training.prepare import prepare
from uvlm_core.training.recipe import load_recipe
from uvlm_core.volumes.grid import GridSpec
processes.join("cpu")
try:
    prepare(load_recipe(sys.argv[1]).data, GridSpec((6.0, 6.0, 6.0)), Path(sys.argv[2]), None, cancel=processes.is_main)
except Cancelled:
    print("stopped", flush=True)
"""


def test_all_processes_stop_where_one_is_told_to(tmp_path):
    (tmp_path / "tiny.json").write_text(json.dumps(RECIPE))
    (tmp_path / "each.py").write_text(STOPPED)
    run = subprocess.run([sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
                          str(tmp_path / "each.py"), str(tmp_path / "tiny.json"), str(tmp_path / "cases")], cwd=ROOT,
                         env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False,
                         timeout=120)
    assert run.stdout.split() == ["stopped"] * 2, run.stderr[-3000:]
    assert sorted(path.name for path in (tmp_path / "cases").iterdir()) == ["held_50", "train_11"]  # the other's share


def _weights(tensors) -> torch.Tensor:
    """All in one row, without biases before a norm: they have no effect and no gradient but rounding, which Adam blows
    up to whole steps."""
    return torch.cat([value.float().flatten() for name, value in sorted(tensors.items())
                      if not re.search(r"(stem|conv1|conv2|levels\.\d\.\d)\.conv\.bias$", name)])


def _rows(path):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith(("seconds", "validation"))}
            for row in rows]
