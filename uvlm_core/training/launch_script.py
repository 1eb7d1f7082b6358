"""A training run as a script: for a shell, or for a cluster with SLURM. Plain text, meant to be read and changed."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from uvlm_core.errors import RecipeError
from uvlm_core.files import replace_text
from uvlm_core.training.recipe import load_recipe

_HEAD = """# {title}
# Written by: uvlm train {recipe} --export-{kind}
# Start it where uvlm is installed with its extra "train", and with its environment active.
# The same script goes on from the last checkpoint after a kill or a time limit. All processes must see the run folder,
# the recipe and the data under the same paths.
"""

_SHELL = """#!/usr/bin/env bash
{head}set -eu
cd {here}

RUN={out}
GPUS={gpus}  # of this machine; 0 trains on the CPU

if [ "$GPUS" -gt 1 ]; then
  export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{threads}}}
  launch=(accelerate launch --multi_gpu --num_machines 1 --num_processes "$GPUS")
elif [ "$GPUS" -eq 1 ]; then
  launch=(accelerate launch --num_machines 1 --num_processes 1)
else
  launch=(accelerate launch --cpu --num_machines 1 --num_processes 1)
fi
device=$([ "$GPUS" -gt 0 ] && echo cuda || echo cpu)

# the recipe sets the precision of every stage
"${{launch[@]}}" --mixed_precision no --dynamo_backend no \\
  -m uvlm_core.cli train {recipe} -o "$RUN" --device "$device"{more}
"""

_SLURM = """#!/usr/bin/env bash
#SBATCH --job-name={name}
#SBATCH --nodes={nodes}
#SBATCH --ntasks-per-node=1          # one launcher per node; it starts a process per GPU
#SBATCH --gpus-per-node={gpus}
#SBATCH --cpus-per-task={cpus}          # data is prepared on them
#SBATCH --time=24:00:00
#SBATCH --output=%x-%j.log
#SBATCH --signal=TERM@120            # two minutes before the end: a checkpoint is written
{head}set -eu
cd {here}

export RUN={out}
export GPUS={gpus}                   # per node
export OMP_NUM_THREADS={threads}
export MAIN_NODE=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MAIN_PORT=$((20000 + SLURM_JOB_ID % 20000))

srun --kill-on-bad-exit=1 bash -c '
  [ "$((SLURM_NNODES * GPUS))" -gt 1 ] && several=--multi_gpu || several=
  exec accelerate launch $several \\
    --num_machines "$SLURM_NNODES" --num_processes "$((SLURM_NNODES * GPUS))" --machine_rank "$SLURM_NODEID" \\
    --main_process_ip "$MAIN_NODE" --main_process_port "$MAIN_PORT" --rdzv_backend static \\
    --mixed_precision no --dynamo_backend no \\
    -m uvlm_core.cli train "$@" -o "$RUN" --device cuda
' launch {recipe}{more}
"""


def write_script(path: Path, kind: str, recipe: str, out: Path, options: Sequence[str] = (), nodes: int = 1,
                 gpus: int = 1) -> Path:
    """Writes the script that trains `recipe` into `out`.

    Args:
        kind: "shell" or "slurm".
        recipe: name of a recipe, or path of its file.
        options: further options of `uvlm train`.
        gpus: per node.

    Raises:
        RecipeError: a count that cannot be, or SLURM without a GPU.
    """
    if nodes < 1 or gpus < (1 if kind == "slurm" else 0):
        raise RecipeError(f"A {kind} script needs at least 1 node and {1 if kind == 'slurm' else 0} GPUs per node; "
                          f"found {nodes} and {gpus}.")
    if kind == "shell" and nodes > 1:
        raise RecipeError("A shell script starts one machine. Use --export-slurm for several.")
    recipe = str(Path(recipe).absolute()) if recipe.endswith(".json") else recipe
    name = "uvlm-" + Path(recipe).stem
    head = _HEAD.format(title=f"Trains the recipe {Path(recipe).stem} with UVLM. Research use only.", recipe=recipe,
                        kind=kind)
    threads = 8
    text = {"shell": _SHELL, "slurm": _SLURM}[kind].format(
        head=head, here=shlex.quote(str(Path.cwd())), out=shlex.quote(str(Path(out).absolute())), gpus=gpus,
        recipe=shlex.quote(recipe), nodes=nodes, name=shlex.quote(name), threads=threads, cpus=threads * max(1, gpus),
        more="".join(f" {shlex.quote(option)}" for option in options))
    path = replace_text(path, text)
    path.chmod(0o755)
    return path


def export_scripts(recipe: str, out: Path, stage: int | None, start: Path | None, data: Path | None,
                   shell: Path | None, slurm: Path | None, nodes: int = 1, gpus: int | None = None,
                   device: str = "cpu") -> list[Path]:
    """The scripts that were asked for; arguments as those of `uvlm train`, refused here if that would refuse them.

    Args:
        gpus: per node; None takes what `device` says for a shell script, and 1 for SLURM.
    """
    load_recipe(recipe).numbers(stage)
    given = {"--stage": stage, "--start": start and start.absolute(), "--data": data and data.absolute()}
    options = [text for name, value in given.items() if value is not None for text in (name, str(value))]
    usual = {"shell": int(device != "cpu"), "slurm": 1}
    return [write_script(path, kind, recipe, out, options, nodes, usual[kind] if gpus is None else gpus)
            for path, kind in ((shell, "shell"), (slurm, "slurm")) if path is not None]
