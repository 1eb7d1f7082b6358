"""Times and memory of a stage's real steps on this machine, at a size that is measured in seconds.

Large patches are not tried: two smaller ones are, and the line through them tells the full one. Time and memory of a
convolutional network are linear in the voxels, beside what weights, optimizer and text cost.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from uvlm_core.model.config import Triple
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training import loop, memory
from uvlm_core.training.loop import optimize, use_bf16
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.processes import SharedStep
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.schedule import AveragedWeights, make_optimizer

MEASURED_VOXELS = 96 * 96 * 64  # of a batch; larger ones are extrapolated
REPEATS = 3
TEXT_REPEATS = 8  # of steps that cost as much as their texts are long


@dataclass(frozen=True)
class StepCost:
    """Of one step with `voxels` in a part: seconds, and peak memory in MiB (None where it cannot be measured)."""

    voxels: float
    seconds: float
    memory: float | None


@dataclass(frozen=True)
class CostLine:
    """Seconds and MiB of a step by the voxels of one of its parts; `preparation` seconds per case come before."""

    small: StepCost
    large: StepCost
    preparation: float

    def seconds(self, voxels: float) -> float:
        """Of one step."""
        return self._at("seconds", voxels)

    def memory(self, voxels: float) -> float | None:
        """Peak in MiB."""
        return None if self.small.memory is None else self._at("memory", voxels)

    def _at(self, name: str, voxels: float) -> float:
        first, last = getattr(self.small, name), getattr(self.large, name)
        if self.large.voxels == self.small.voxels:
            return last
        slope = max(0.0, (last - first) / (self.large.voxels - self.small.voxels))
        return last + slope * (voxels - self.large.voxels)


def full_patch(part: StageRecipe, cases: list[GridCase]) -> Triple:
    """Voxels (Z, Y, X) that one case of a batch has: the patch, else those of the first whole case."""
    return part.patch or tuple(int(size) for size in cases[0].image.shape)


def measured_patches(full: Triple, stride: Triple, batch: int, most: float) -> list[tuple[Triple, int]]:
    """(patch, batch) to measure: the full one if it has at most `most` voxels, else two smaller ones of multiples of
    `stride`."""
    if batch * math.prod(full) <= most:
        return [(full, batch)]
    least = tuple(min(size, 2 * step) for size, step in zip(full, stride, strict=True))
    small = _grown(least, full, stride, most / 3)
    large = _grown(small, full, stride, max(most, 2 * math.prod(small)))
    return [(small, 1), (large, 1)] if large != small else [(small, 1), (small, 2)]


def _grown(patch: Triple, full: Triple, stride: Triple, voxels: float) -> Triple:
    """The patch with its relatively smallest axis grown by the stride, again and again, up to about `voxels`."""
    while math.prod(patch) < voxels:
        open_axes = [axis for axis in range(3) if patch[axis] + stride[axis] <= full[axis]]
        if not open_axes:
            return patch
        axis = min(open_axes, key=lambda a: patch[a] / full[a])
        patch = tuple(size + stride[a] * (a == axis) for a, size in enumerate(patch))
    return patch


def measure_stage(model: UVLM, part: StageRecipe, cases: list[GridCase], seed: int, folder: Path,
                  most: float | None = None, repeats: int = REPEATS) -> CostLine:
    """Runs real steps of the stage on the model (which they change) and measures them.

    Args:
        cases: one or a few, in place of all.
        folder: for tokens and the tokenizer.
        most: voxels of a batch that are really tried; default MEASURED_VOXELS.
        repeats: steps that are timed; those whose time is that of their texts are repeated TEXT_REPEATS times.
    """
    from uvlm_core.training.building import train_only
    from uvlm_core.training.run import stage_task

    model.keep_activations(not part.checkpointing)
    voxels_matter = not part.freeze_encoder and part.recombined < 1
    full = full_patch(part, cases)
    sizes = [(part.patch, part.batch)]
    if voxels_matter:
        sizes = measured_patches(full, model.config.encoder.total_stride(), part.batch, most or MEASURED_VOXELS)
    if part.kind == "report" and not voxels_matter:
        repeats = max(repeats, TEXT_REPEATS)
    costs, preparation = [], 0.0
    for patch, batch in sizes:
        whole = (patch, batch) == (full, part.batch)
        reduced = replace(part, patch=part.patch if whole else patch, batch=batch, steps=repeats + 1, warm_up=0,
                          accumulate=part.accumulate if whole or not voxels_matter else 1)
        started = loop.clock()
        task = stage_task(model, reduced, cases, [], seed, folder)
        train_only(model, part.trained_parts)
        preparation = max(preparation, (loop.clock() - started) / len(cases))
        seconds, peak = _steps(model, task, reduced, seed)
        costs.append(StepCost(batch * math.prod(patch or full), seconds * part.accumulate / reduced.accumulate, peak))
    return CostLine(costs[0], costs[-1], preparation if part.freeze_encoder and part.recombined < 1 else 0.0)


def _steps(model: UVLM, task, part: StageRecipe, seed: int) -> tuple[float, float | None]:
    """(seconds, peak MiB) of a few real steps, the first left out: of a text the mean, because texts differ in length,
    else the median, because voxels do not and a busy machine does."""
    device = next(model.parameters()).device
    counted = memory.start_counting(device)
    optimizer = make_optimizer(model, part)
    average = AveragedWeights(model, part.ema)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(part.precision, device))
    step_module, times = SharedStep(model, task.loss), []
    for step in range(part.steps):
        started = loop.clock()
        optimize(step_module, optimizer, part, seed, step, autocast)
        average.update(model, step)
        times.append(loop.clock() - started)
    middle = statistics.fmean if part.kind == "report" else statistics.median
    return middle(times[1:]), memory.peak_mib(device) if counted else None
