"""The cost that is told before a training starts, and the answer to too little memory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from test_training_run import RECIPE, ROOT
from typer.testing import CliRunner
from untrained_bundle import write_bundle

from uvlm_core.cli import app
from uvlm_core.errors import RecipeError
from uvlm_core.model.bundle import load_bundle
from uvlm_core.training import measuring
from uvlm_core.training.estimate import duration, estimate
from uvlm_core.training.launch_script import write_script
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import train_command

STAGES = [
    {"kind": "segmentation", "steps": 4, "patch": [48, 64, 64], "precision": "fp32"},
    {"kind": "report", "steps": 8, "batch": 2, "freeze_encoder": True, "precision": "fp32"},
]


def test_the_estimate_tells_cases_steps_and_what_is_trained(tmp_path, monkeypatch):
    """Seconds are told too; how near they come depends on what else the machine does, so no test depends on it."""
    monkeypatch.setattr(measuring, "MEASURED_VOXELS", 110000)  # the patch is larger
    values = {**RECIPE, "stages": STAGES}
    found = estimate(Recipe.from_dict(values))
    (tmp_path / "tiny.json").write_text(json.dumps(values))
    train_command(tmp_path / "tiny.json", tmp_path / "run")
    for row in found:
        lines = (tmp_path / "run" / f"stage{row.number}-{row.kind}" / "metrics.jsonl").read_text().splitlines()
        assert row.seconds_per_step > 0 and row.memory_mib > 0
        assert (row.cases, row.steps) == (3, len(lines))
    assert found[0].steps_per_epoch == 3 and found[1].steps_per_epoch == 2
    assert found[1].trained < found[1].parameters  # its encoder is frozen


def test_the_estimate_is_of_the_bundle_and_the_stage_that_would_be_trained(tmp_path):
    bundle, small = write_bundle(tmp_path / "bundle"), {"patch": [32, 32, 32], "precision": "fp32", "steps": 1}
    stages = [{"kind": kind, **small} for kind in ("segmentation", "classification")]
    (tmp_path / "tiny.json").write_text(json.dumps({**RECIPE, "stages": stages}))
    options = ["train", str(tmp_path / "tiny.json"), "-o", str(tmp_path / "run"), "--estimate"]
    done = CliRunner().invoke(app, [*options, "--start", str(bundle), "--stage", "2"])
    assert done.exit_code == 0, done.output
    row, = json.loads((tmp_path / "run" / "estimate.json").read_text())["stages"]
    weights = load_bundle(bundle).model.parameters()
    assert (row["number"], row["parameters"]) == (2, sum(value.numel() for value in weights))
    for other in (["--estimate"], ["--export-shell", str(tmp_path / "job.sh")]):
        with pytest.raises(RecipeError, match="stages 1 to 2; found 3"):
            CliRunner().invoke(app, [*options[:-1], "--stage", "3", *other], catch_exceptions=False)


MEMORY = """
import json, sys
from pathlib import Path
from uvlm_core.training.estimate import estimate
from uvlm_core.training.recipe import load_recipe
from uvlm_core.training.run import train_command
import uvlm_core.training.measuring as measuring, uvlm_core.training.memory as memory, torch
measuring.MEASURED_VOXELS = 110000
told = estimate(load_recipe(sys.argv[1]))[0].memory_mib
assert memory.start_counting(torch.device("cpu"))
train_command(sys.argv[1], Path(sys.argv[2]))
print(json.dumps([told, memory.peak_mib(torch.device("cpu"))]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured on Linux")
def test_memory_is_told_within_30_percent(tmp_path):
    stage = {"kind": "segmentation", "steps": 2, "patch": [48, 64, 64], "precision": "fp32", "checkpointing": True}
    (tmp_path / "tiny.json").write_text(json.dumps({**RECIPE, "stages": [stage]}))
    run = subprocess.run([sys.executable, "-c", MEMORY, str(tmp_path / "tiny.json"), str(tmp_path / "run")], cwd=ROOT,
                         capture_output=True, text=True, check=True)
    told, measured = json.loads(run.stdout)
    assert measured > 500  # far above what the process has without a step
    assert told == pytest.approx(measured, rel=0.3)


LIMITED = """
import resource, sys
from pathlib import Path
import uvlm_core.training.estimate, uvlm_core.training.segmentation
from uvlm_core.inference.machine import status_mib
from uvlm_core.training.run import train_command
limit = int((status_mib("VmSize") + 1500) * 2**20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
train_command(sys.argv[1], Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the process's memory is limited")
def test_out_of_memory_is_answered_with_what_would_fit(tmp_path):
    stage = {"kind": "segmentation", "steps": 2, "batch": 8, "patch": [48, 64, 64], "precision": "fp32"}
    (tmp_path / "tiny.json").write_text(json.dumps({**RECIPE, "stages": [stage]}))
    run = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path / "tiny.json"), str(tmp_path / "run")], cwd=ROOT,
                         env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False)
    text = run.stderr.splitlines()[-1]
    assert "RecipeError: The segmentation stage (number 1) needs more memory than cpu has. What would fit" in text
    assert re.search(r"(batch \d|patch \[\d+, \d+, \d+\]).*\(about \d\.\d of \d\.\d GiB\)", text), text


def test_scripts_are_complete_and_bash_can_read_them(tmp_path):
    recipe = tmp_path / "my recipe.json"
    recipe.write_text(json.dumps(RECIPE))
    done = CliRunner().invoke(app, ["train", str(recipe), "-o", str(tmp_path / "a run"), "--stage", "2", "--gpus", "4",
                                    "--nodes", "2", "--export-slurm", str(tmp_path / "job.slurm")])
    assert done.exit_code == 0, done.output
    write_script(tmp_path / "job.sh", "shell", str(recipe), tmp_path / "a run", gpus=0)
    for name in ("job.slurm", "job.sh"):
        subprocess.run(["bash", "-n", str(tmp_path / name)], check=True)
        assert os.access(tmp_path / name, os.X_OK)
    text = (tmp_path / "job.slurm").read_text()
    assert "#SBATCH --nodes=2\n" in text and "#SBATCH --gpus-per-node=4\n" in text
    assert f"launch '{recipe}' --stage 2\n" in text and f"export RUN='{tmp_path / 'a run'}'" in text
    with pytest.raises(RecipeError, match="at least 1 node and 1 GPUs"):
        write_script(tmp_path / "x", "slurm", "demo", tmp_path, gpus=0)
    with pytest.raises(RecipeError, match="--export-slurm"):
        write_script(tmp_path / "x", "shell", "demo", tmp_path, nodes=2)


@pytest.mark.parametrize(("nodes", "gpus"), [(1, 1), (1, 4), (2, 1)])
def test_accelerate_takes_what_the_slurm_script_calls(nodes, gpus, tmp_path):
    """`srun` and `scontrol` are stand-ins; what they hand to `accelerate launch` goes to accelerate's own checks."""
    pytest.importorskip("accelerate")
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    write_script(tmp_path / "job.slurm", "slurm", "demo", tmp_path / "run", nodes=nodes, gpus=gpus)
    programs = {"scontrol": "echo node1", "srun": 'shift; exec "$@"', "accelerate": 'printf "%s\\n" "$@"'}
    for name, text in programs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    variables = {"PATH": os.pathsep.join([str(tmp_path), os.environ["PATH"]]), "SLURM_NNODES": str(nodes),
                 "SLURM_NODEID": "0", "SLURM_JOB_ID": "17", "SLURM_JOB_NODELIST": "node[1-2]"}
    run = subprocess.run(["bash", str(tmp_path / "job.slurm")], env={**os.environ, **variables}, capture_output=True,
                         text=True, check=False)
    assert run.returncode == 0, run.stderr
    command, *arguments = run.stdout.splitlines()
    given, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    assert command == "launch" and (given.num_machines, given.num_processes) == (nodes, nodes * gpus)
    assert given.module and given.training_script == "uvlm_core.cli" and "--device" in given.training_script_args


@pytest.mark.parametrize(("options", "gpus"), [([], 0), (["--device", "cuda"], 1), (["--gpus", "3"], 3)])
def test_the_shell_script_trains_where_the_command_would(options, gpus, tmp_path):
    done = CliRunner().invoke(app, ["train", "demo", "-o", str(tmp_path / "run"), *options,
                                    "--export-shell", str(tmp_path / "job.sh")])
    assert done.exit_code == 0, done.output
    assert f"\nGPUS={gpus} " in (tmp_path / "job.sh").read_text()


def test_the_shell_script_trains(tmp_path):
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps({**RECIPE, "stages": RECIPE["stages"][:1]}))
    write_script(tmp_path / "job.sh", "shell", str(recipe), tmp_path / "run", gpus=0)
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    run = subprocess.run(["bash", str(tmp_path / "job.sh")], env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"},
                         capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]
    assert (tmp_path / "run" / "stage1-segmentation" / "model.safetensors").exists()


@pytest.mark.parametrize(("seconds", "text"), [(0.251, "0.25 s"), (100, "1.7 min"), (20000, "5.6 h"),
                                                (1e6, "11.6 days")])
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text
