"""One full training step of each stage of the `paper` preset: seconds, peak memory, fraction of the matmul peak.

    python Testing/benchmarks/paper_step.py -o paper_step.json                  192x256x256, needs up to 20 GiB
    python Testing/benchmarks/paper_step.py -o small.json --shape 64x64x64      a quick look

The case is a phantom that fills that grid. Each stage runs in a process of its own, so that peaks do not add up, with
checkpointing, bf16 where `precision` auto takes it, and the optimizer of the recipe `paper-abdomen`; stage 3 once with
the encoder's tokens cached, as in the recipe, and once through a trainable encoder.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
STAGES = {"segmentation": (1, {}), "classification": (2, {}), "report, tokens cached": (3, {}),
          "report, encoder trained": (3, {"freeze_encoder": False, "encoder_rate": 0.1})}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("-o", "--out", type=Path, required=True)
    options.add_argument("--shape", default="192x256x256")
    options.add_argument("--device", default="cpu")
    options.add_argument("--precision", default="auto")
    options.add_argument("--steps", type=int, default=1, help="timed steps after one that is not timed")
    options.add_argument("--stage", choices=STAGES, help="only this stage, in this process")
    given = options.parse_args()
    if given.stage:
        print(json.dumps(measure(given)))
        return
    rows = {}
    for name in STAGES:
        run = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--stage", name], capture_output=True, text=True,
                             check=False)
        rows[name] = json.loads(run.stdout.splitlines()[-1]) if run.returncode == 0 else {
            "failed": (run.stderr.splitlines() or [f"ended by signal {-run.returncode}"])[-1]}
        print(f"{name:26} {rows[name]}", flush=True)
    given.out.write_text(json.dumps({"shape": given.shape, "device": given.device, "machine": platform.machine(),
                                     "stages": rows}, indent=1) + "\n")


def measure(given) -> dict:
    """Seconds of a step, peak MiB, and FLOP/s (recomputation counted) against a large matrix product."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from uvlm_core.training import memory
    from uvlm_core.training.building import build_model
    from uvlm_core.training.loop import optimize, use_bf16
    from uvlm_core.training.prepare import prepare
    from uvlm_core.training.processes import SharedStep
    from uvlm_core.training.recipe import load_recipe
    from uvlm_core.training.run import stage_task
    from uvlm_core.training.schedule import make_optimizer

    shape = [int(size) for size in given.shape.split("x")]
    spacing = [extent / size for extent, size in zip((288, 256, 256), shape, strict=True)]  # the paper's at full size
    recipe = load_recipe("paper-abdomen")
    grid = {"spacing": spacing, "max_shape": shape, "margin_mm": 300.0}  # the margin is cut to exactly this shape
    recipe = replace(recipe, model={**recipe.model, "grid": grid})
    number, changes = STAGES[given.stage]
    part = replace(recipe.stages[number - 1], patch=None, batch=1, accumulate=1, checkpointing=True, augment=False,
                   steps=given.steps + 1, precision=given.precision, sources=None, **changes)
    source = {"name": "phantom", "kind": "phantoms", "count": 1, "first_seed": 5, "shape": shape,
              "spacing": spacing, "share": 0.6}
    device = torch.device(given.device)
    bf16 = use_bf16(part.precision, device)
    model = build_model(recipe).to(device)
    model.keep_activations(False)
    with tempfile.TemporaryDirectory() as folder:
        cases = prepare([source], model.config.grid, Path(folder) / "cases", None)
        size = list(cases[0].target.shape)
        memory.start_counting(device)
        task = stage_task(model, part, cases, [], 1, Path(folder))
        optimizer = make_optimizer(model, part)
        step_module = SharedStep(model, task.loss)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=bf16)
        times, work = [], 0
        for step in range(given.steps + 1):
            started = time.perf_counter()
            counter = FlopCounterMode(display=False) if step == 0 else nullcontext()
            with counter:
                row = optimize(step_module, optimizer, part, 1, step, autocast)
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
            work = counter.get_total_flops() if step == 0 else work
    peak_mib, seconds = memory.peak_mib(device), min(times[1:])
    peak = matmul_peak(device, torch.bfloat16 if bf16 else torch.float32)
    return {"grid": size, "precision": "bf16" if bf16 else "fp32", "seconds": round(seconds, 3),
            "first_step_seconds": round(times[0], 3), "peak_mib": round(peak_mib),
            "loss": round(row["loss"], 4), "tflop": round(work / 1e12, 4),
            "fraction_of_matmul_peak": round(work / seconds / peak, 4), "matmul_tflops": round(peak / 1e12, 3)}


def matmul_peak(device, dtype) -> float:
    """FLOP/s of a large matrix product, the best of a few."""
    import torch

    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


if __name__ == "__main__":
    main()
