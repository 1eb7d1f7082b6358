"""The one training loop that all three stages share, on one process or many (see `processes`).

Every random decision of step `n` is drawn from (seed, n), so a run that was killed and resumed from its last
checkpoint repeats the missing steps exactly and ends with the same weights as one that was never killed.
"""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from tqdm import tqdm

from uvlm_core.errors import Cancelled, RecipeError
from uvlm_core.files import replace_tensors
from uvlm_core.training import processes
from uvlm_core.training.processes import Part, SharedStep
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.run_log import RunLog
from uvlm_core.training.schedule import AveragedWeights, make_optimizer, rate_factor, trained_groups
from uvlm_core.training.sharding import as_shared, gathered, make_whole

CHECKPOINT, BEST = "checkpoint.safetensors", "best.safetensors"
MOST_LOSS = 0.01  # of a figure from 0 to 1, that may be forgotten while something else is learned
clock = time.perf_counter


@dataclass
class StageTask:
    """What a stage gives the loop.

    `loss(model, part)` returns the loss of one process's share of a part and what it is made of, for the log; the mean
    over the processes that share a part is the loss of its whole batch. `validate(model)` returns figures with "score"
    (higher is better), and with figures from 0 to 1 of one source each, "source_...", none of which may fall by more
    than MOST_LOSS for weights to be kept as the best; all processes call it.
    """

    loss: Callable[[nn.Module, Part], tuple[Tensor, dict[str, float]]]
    validate: Callable[[nn.Module], dict[str, float]] | None = None


def use_bf16(precision: str, device: torch.device) -> bool:
    """"auto" takes bf16 where the hardware multiplies in it; fp32 elsewhere."""
    if precision not in ("auto", "bf16", "fp32"):
        raise RecipeError(f"precision is auto, bf16 or fp32; found '{precision}'.")
    if precision != "auto":
        return precision == "bf16"
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.backends.cpu.get_cpu_capability() == "AVX512"


def fit(model: nn.Module, task: StageTask, recipe: StageRecipe, out: Path, seed: int,
        cancel: Callable[[], bool] = lambda: False, quiet: bool = False) -> dict[str, float]:
    """Trains `model` in place and leaves it with its averaged weights.

    Args:
        out: run folder of the stage; a checkpoint found there is resumed.
        cancel: asked after every step; True (of any process) saves a checkpoint and raises Cancelled.

    Returns:
        the figures of the last validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    processes.share_model(model)
    optimizer = make_optimizer(model, recipe)
    average = AveragedWeights(model, recipe.ema)
    state = _load_checkpoint(out, model, optimizer, average, recipe, seed)
    step_module = processes.share_step(SharedStep(model, task.loss))
    main = processes.is_main()
    log = RunLog(out, keep_until=state["step"]) if main else None
    bar = tqdm(total=recipe.steps, initial=state["step"], desc=recipe.kind, unit="step", disable=quiet or not main,
               smoothing=0.1)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(recipe.precision, device))
    figures: dict[str, float] = {}
    if recipe.keep_best and state["step"] == 0:
        state["first"] = _validate(model, task, average)
        _judge(state, state["first"], recipe, out, average)
    for step in range(state["step"], recipe.steps):
        if state["finished"]:
            break
        started = clock()
        row = optimize(step_module, optimizer, recipe, seed, step, autocast)
        average.update(model, step)
        state["step"] = step + 1
        if (step + 1) % recipe.validate_every == 0 or step + 1 == recipe.steps:
            figures = _validate(model, task, average)
            row |= {f"validation_{name}": value for name, value in figures.items()}
            _judge(state, figures, recipe, out, average)
        if main:
            log.write({"step": step + 1, **row, "seconds": round(clock() - started, 3)})
        bar.set_postfix_str(f"loss {row['loss']:.3f}")
        bar.update()
        stop = processes.some_process(cancel())
        if stop or (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps or state["finished"]:
            _save_checkpoint(out, model, optimizer, average, state, recipe, seed)
            if stop and step + 1 < recipe.steps:
                raise Cancelled(f"Stopped after step {step + 1} of {recipe.steps}; "
                                "the same command goes on from there.")
    bar.close()
    if main:
        log.close()
    processes.release()
    final = gathered(average.values)
    if recipe.keep_best:
        processes.wait()
        final |= load_file(out / BEST)  # without what was not trained
    make_whole(model, final)
    if recipe.keep_best:
        return state["best"]
    return figures or state.get("best", {})


def optimize(step_module: nn.Module, optimizer, recipe: StageRecipe, seed: int, step: int,
             autocast) -> dict[str, float]:
    """One step of the optimizer; gives the row for the log.

    Args:
        step_module: of `processes.share_step`.

    Raises:
        RecipeError: the loss or the gradient is not finite; the weights are as they were.
    """
    step_module.train()
    factor = rate_factor(recipe.schedule, step, recipe.steps, recipe.warm_up)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * factor
    optimizer.zero_grad(set_to_none=True)
    parts = processes.parts_of_step(step, recipe.batch, recipe.accumulate, processes.rank(), processes.count())
    sums: dict[str, float] = {}
    for part in parts:
        torch.manual_seed((seed * 1_000_003 + part.number + 7919 * part.share) % 2**63)  # dropout, if any
        with processes.gradients_stay(step_module, last=part is parts[-1]):
            with autocast:
                loss, row = step_module(part)
            (loss / len(parts)).backward()
        for name, value in {"loss": loss.item(), **row}.items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(parts)
    means = dict(zip(sums, processes.mean_over_processes(list(sums.values())), strict=True))
    if not math.isfinite(means["loss"]):
        raise RecipeError(
            f"The loss of step {step + 1} is {means['loss']}. Lower 'rate' of the {recipe.kind} stage, "
            "or set its precision to fp32; the last checkpoint is kept."
        )
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = processes.clip_gradients(trained, recipe.clip).item()
    if not math.isfinite(norm):  # seen with torch 2.13 on CPUs with AMX: bf16 patches two voxels deep at the last stage
        raise RecipeError(
            f"The gradient of step {step + 1} is {norm} though the loss is {means['loss']:.4g}. Give the {recipe.kind} "
            "stage a larger 'patch' or set its precision to fp32; the last checkpoint is kept."
        )
    optimizer.step()
    return {**means, "rate": recipe.rate * factor, "gradient_norm": norm}


@torch.no_grad()
def _validate(model: nn.Module, task: StageTask, average: AveragedWeights) -> dict[str, float]:
    if task.validate is None:
        return {}
    current = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.values)
    model.eval()
    figures = processes.same_everywhere(task.validate(model))
    model.load_state_dict(current)
    return figures


def _judge(state: dict, figures: dict[str, float], recipe: StageRecipe, out: Path, average: AveragedWeights) -> None:
    """Counts validations without a better score; early stopping when patience is spent. Keeps the best weights."""
    if "score" not in figures:
        if recipe.keep_best:
            raise RecipeError(f"The {recipe.kind} stage cannot keep the best weights: it has no held-out case to judge "
                              "them by. Hold some out (split 'validation' of a table), or set keep_best to false.")
        return
    if figures["score"] > state["best"].get("score", -math.inf) and not _forgets(figures, state.get("first", {})):
        state["best"], state["waited"] = figures, 0
        if recipe.keep_best:
            _save({name: value for name, value in average.values.items() if name not in average.frozen}, out / BEST)
    else:
        state["waited"] += 1
    state["finished"] = recipe.patience > 0 and state["waited"] >= recipe.patience


def _forgets(figures: dict[str, float], first: dict[str, float]) -> bool:
    """Whether a source of held-out cases fares worse than at the stage's start by more than an export would allow."""
    return any(value < first[name] - MOST_LOSS for name, value in figures.items()
               if name.startswith("source_") and name in first)


def _fingerprint(recipe: StageRecipe, seed: int) -> str:
    return json.dumps([dataclasses.asdict(recipe), seed], sort_keys=True)


def _same_run(stored: str, recipe: StageRecipe, seed: int) -> bool:
    """Whether a checkpoint is of this recipe; options that are newer than the checkpoint had their default."""
    values, stored_seed = json.loads(stored)
    defaults = {entry.name: entry.default for entry in dataclasses.fields(StageRecipe)}
    return json.dumps([{**defaults, **values}, stored_seed], sort_keys=True) == _fingerprint(recipe, seed)


def _save_checkpoint(out, model, optimizer, average, state, recipe, seed) -> None:
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.values.items() if name not in average.frozen}
    for number, parameter in enumerate(_numbered(model, recipe)):
        for name, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value)
    _save(tensors, out / CHECKPOINT, {"state": json.dumps(state), "recipe": _fingerprint(recipe, seed)})


def _save(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """One safetensors file of whole tensors, by the main process; written beside and renamed: a kill leaves the old one
    or the new one."""
    whole = gathered(tensors)
    if not processes.is_main():
        return
    replace_tensors(path, {name: value.detach().clone().contiguous() for name, value in whole.items()}, metadata)


def _numbered(model: nn.Module, recipe: StageRecipe) -> list[nn.Parameter]:
    """Trained parameters in the order of a checkpoint; right after `state_dict`, when all that is shared out is."""
    return [parameter for group in trained_groups(model, recipe) for parameter in group["params"]]


def _load_checkpoint(out, model, optimizer, average, recipe, seed) -> dict:
    path = out / CHECKPOINT
    if not path.exists():
        return {"step": 0, "best": {}, "waited": 0, "finished": False}
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if not _same_run(metadata["recipe"], recipe, seed):
        raise RecipeError(f"{out} holds a run of another recipe. Give another folder, or the recipe of that run.")
    own = model.state_dict()
    model.load_state_dict({name: as_shared(tensors[f"model/{name}"], value) for name, value in own.items()})
    for name, value in average.values.items():
        if name not in average.frozen:
            value.copy_(as_shared(tensors[f"average/{name}"], value))
    members = _numbered(model, recipe)
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, number, entry = name.split("/")
            parameter = members[int(number)]
            optimizer.state[parameter][entry] = value if entry == "step" else as_shared(value, parameter)
    return json.loads(metadata["state"])
