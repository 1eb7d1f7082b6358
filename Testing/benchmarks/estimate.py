"""`uvlm train --estimate` against what is then measured, for each kind of stage: seconds per step, preparation, memory.

    python Testing/benchmarks/estimate.py -o estimate.json                       on an idle machine, minutes
    python Testing/benchmarks/estimate.py -o estimate.json --clock processor     on a busy one; with OMP_NUM_THREADS=1
    python Testing/benchmarks/estimate.py -o estimate.json --recipe my.json      the stages of a recipe, fewer steps

Each stage is estimated and then trained in processes of their own, on the same cases. Seconds per step are the mean of
the steps without a validation, the first left out as in the estimate; preparation is the rest of the command's time,
with what starting and ending it takes. Memory is measured on Linux and on GPUs.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
CLOCKS = {"wall": time.perf_counter, "processor": time.process_time}
PATCH = [64, 64, 64]
STAGES = {
    "masks, patch measured": {"kind": "segmentation", "patch": PATCH},
    "masks, patch extrapolated": {"kind": "segmentation", "patch": [96, 96, 96]},
    "masks, lean": {"kind": "segmentation", "patch": PATCH, "batch": 2, "checkpointing": True},
    "findings, patch": {"kind": "classification", "patch": PATCH, "segmentation_weight": 1.0, "accumulate": 2},
    "findings, whole cases": {"kind": "classification"},
    "findings, encoder frozen": {"kind": "classification", "batch": 8, "freeze_encoder": True},
    "report, encoder frozen": {"kind": "report", "batch": 8, "freeze_encoder": True},
    "report, recombined": {"kind": "report", "batch": 8, "freeze_encoder": True, "recombined": 1.0},
    "report, encoder trained": {"kind": "report", "patch": PATCH, "batch": 2},
}
DATA = [{"name": "phantoms", "kind": "phantoms", "count": 4, "first_seed": 5}]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", "--out", type=Path, required=True)
    options.add_argument("--recipe", help="a recipe whose stages to compare; default: one of every kind")
    options.add_argument("--steps", type=int, default=10, help="of each stage; texts differ in length")
    options.add_argument("--preset", default="demo")
    options.add_argument("--device", default="cpu")
    options.add_argument("--clock", choices=CLOCKS, default="wall")
    options.add_argument("--only", help="stages with this in their name")
    options.add_argument("--work", nargs=2, help=argparse.SUPPRESS)  # in this process: (estimate or train, recipe file)
    given = options.parse_args()
    if given.work:
        print(json.dumps({"estimate": told, "train": measured}[given.work[0]](Path(given.work[1]), given)))
        return
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, recipe in recipes(given).items():
            if given.only and given.only not in name:
                continue
            path = Path(folder) / f"{len(rows)}.json"
            path.write_text(json.dumps(recipe))
            rows[name] = compared(*(child(work, path) for work in ("estimate", "train")))
            print(f"{name:28} {rows[name]}", flush=True)
    given.out.write_text(json.dumps({"machine": platform.machine(), "device": given.device, "clock": given.clock,
                                     "stages": rows}, indent=1) + "\n")


def recipes(given) -> dict[str, dict]:
    """Name -> recipe of one stage."""
    if given.recipe is None:
        base = {"name": "estimate", "preset": given.preset, "seed": 5, "data": DATA}
        stages = STAGES
    else:
        from uvlm_core.training.recipe import load_recipe

        base = load_recipe(given.recipe).to_dict()
        stages = {f"{number} {stage['kind']}": stage for number, stage in enumerate(base["stages"], 1)}
    return {name: {**base, "stages": [{**stage, "steps": given.steps, "validate_every": 10**6, "warm_up": 0}]}
            for name, stage in stages.items()}


def child(work: str, path: Path) -> dict:
    run = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--work", work, str(path)], capture_output=True,
                         text=True, check=False)
    if run.returncode != 0:
        sys.exit(f"{work} failed:\n{run.stderr[-2000:]}")
    return json.loads(run.stdout.splitlines()[-1])


def compared(told: dict, found: dict) -> dict:
    """{figure: {"told", "measured", "ratio"}} of what is known on both sides."""
    return {name: {"told": round(told[name], 4), "measured": round(found[name], 4),
                   "ratio": round(told[name] / found[name], 3)} for name in found if told.get(name) and found[name]}


def told(path: Path, given) -> dict:
    """Of the estimate."""
    from uvlm_core.training import loop
    from uvlm_core.training.estimate import data_root, estimate
    from uvlm_core.training.recipe import load_recipe

    loop.clock = CLOCKS[given.clock]
    row = estimate(load_recipe(path), given.device, data_root(None))[0]
    return {"seconds_per_step": row.seconds_per_step, "preparation_seconds": row.preparation_seconds,
            "seconds": row.seconds, "memory_mib": row.memory_mib}


def measured(path: Path, given) -> dict:
    """Of the training."""
    import torch

    from uvlm_core.training import loop, memory
    from uvlm_core.training.run import train_command

    loop.clock = CLOCKS[given.clock]
    counted = memory.start_counting(torch.device(given.device))
    with tempfile.TemporaryDirectory() as run:
        started = loop.clock()
        train_command(path, Path(run), device=given.device)
        whole = loop.clock() - started
        lines = next(Path(run).glob("stage1-*/metrics.jsonl")).read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    plain = [row["seconds"] for row in rows if not any(name.startswith("validation") for name in row)]
    steps = sum(row["seconds"] for row in rows)
    return {"seconds_per_step": statistics.fmean(plain[1:]), "preparation_seconds": whole - steps, "seconds": whole,
            "memory_mib": memory.peak_mib(torch.device(given.device)) if counted else None}


if __name__ == "__main__":
    main()
