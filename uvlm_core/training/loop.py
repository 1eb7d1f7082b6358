"""The one training loop that all three stages share.

Every random decision of step `n` is drawn from (seed, n), so a run that was killed and resumed from its last
checkpoint repeats the missing steps exactly and ends with the same weights as one that was never killed.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from tqdm import tqdm

from uvlm_core.errors import Cancelled, RecipeError
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.schedule import AveragedWeights, parameter_groups, rate_factor

CHECKPOINT = "checkpoint.safetensors"


@dataclass
class StageTask:
    """What a stage gives the loop.

    `loss(model, step)` returns the loss of one batch and its parts for the log; `validate(model)` returns figures
    with "score" (higher is better).
    """

    loss: Callable[[nn.Module, int], tuple[Tensor, dict[str, float]]]
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
        cancel: asked after every step; True saves a checkpoint and raises Cancelled.

    Returns:
        the figures of the last validation.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = next(model.parameters()).device
    optimizer = torch.optim.AdamW(
        parameter_groups(model, recipe.rate, recipe.weight_decay, recipe.encoder_rate), lr=recipe.rate
    )
    average = AveragedWeights(model, recipe.ema)
    state = _load_checkpoint(out, model, optimizer, average, recipe, seed)
    log = _Log(out / "metrics.jsonl", keep_until=state["step"])
    bar = tqdm(total=recipe.steps, initial=state["step"], desc=recipe.kind, unit="step", disable=quiet, smoothing=0.1)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=use_bf16(recipe.precision, device))
    figures: dict[str, float] = {}
    for step in range(state["step"], recipe.steps):
        if state["finished"]:
            break
        started = time.perf_counter()
        row = _optimize(model, task, optimizer, recipe, seed, step, autocast)
        average.update(model, step)
        state["step"] = step + 1
        if (step + 1) % recipe.validate_every == 0 or step + 1 == recipe.steps:
            figures = _validate(model, task, average)
            row |= {f"validation_{name}": value for name, value in figures.items()}
            _judge(state, figures, recipe)
        log.write({"step": step + 1, **row, "seconds": round(time.perf_counter() - started, 3)})
        bar.set_postfix_str(f"loss {row['loss']:.3f}")
        bar.update()
        if (step + 1) % recipe.checkpoint_every == 0 or step + 1 == recipe.steps or state["finished"]:
            _save_checkpoint(out, model, optimizer, average, state, recipe, seed)
        elif cancel():
            _save_checkpoint(out, model, optimizer, average, state, recipe, seed)
            raise Cancelled(f"Stopped after step {step + 1} of {recipe.steps}; the same command goes on from there.")
    bar.close()
    model.load_state_dict(average.values)
    return figures or state.get("best", {})


def _optimize(model, task, optimizer, recipe, seed, step, autocast) -> dict[str, float]:
    model.train()
    factor = rate_factor(recipe.schedule, step, recipe.steps, recipe.warm_up)
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * factor
    optimizer.zero_grad(set_to_none=True)
    total, parts = 0.0, {}
    for part in range(recipe.accumulate):
        torch.manual_seed((seed * 1_000_003 + step * recipe.accumulate + part) % 2**63)  # dropout, if any
        with autocast:
            loss, row = task.loss(model, step * recipe.accumulate + part)
        if not torch.isfinite(loss):
            raise RecipeError(
                f"The loss of step {step + 1} is {loss.item()}. Lower 'rate' of the {recipe.kind} stage, "
                "or set its precision to fp32; the last checkpoint is kept."
            )
        (loss / recipe.accumulate).backward()
        total += loss.item() / recipe.accumulate
        for name, value in row.items():
            parts[name] = parts.get(name, 0.0) + float(value) / recipe.accumulate
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, recipe.clip)
    optimizer.step()
    return {"loss": total, **parts, "rate": recipe.rate * factor, "gradient_norm": norm.item()}


@torch.no_grad()
def _validate(model: nn.Module, task: StageTask, average: AveragedWeights) -> dict[str, float]:
    if task.validate is None:
        return {}
    current = {name: value.clone() for name, value in model.state_dict().items()}
    model.load_state_dict(average.values)
    model.eval()
    figures = task.validate(model)
    model.load_state_dict(current)
    return figures


def _judge(state: dict, figures: dict[str, float], recipe: StageRecipe) -> None:
    """Counts validations without a better score; early stopping when patience is spent."""
    if "score" not in figures:
        return
    if figures["score"] > state["best"].get("score", -math.inf):
        state["best"], state["waited"] = figures, 0
    else:
        state["waited"] += 1
    state["finished"] = recipe.patience > 0 and state["waited"] >= recipe.patience


class _Log:
    """metrics.jsonl; rows of steps that a resumed run repeats are dropped first."""

    def __init__(self, path: Path, keep_until: int):
        kept = []
        if path.exists():
            for line in path.read_text("utf-8").splitlines():
                try:
                    row = json.loads(line)
                except json.JSONDecodeError:  # the last line of a killed run
                    continue
                if row["step"] <= keep_until:
                    kept.append(line + "\n")
        self.path = path
        path.write_text("".join(kept), "utf-8")

    def write(self, row: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({name: _rounded(value) for name, value in row.items()}) + "\n")


def _rounded(value):
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _fingerprint(recipe: StageRecipe, seed: int) -> str:
    import dataclasses

    return json.dumps([dataclasses.asdict(recipe), seed], sort_keys=True)


def _save_checkpoint(out, model, optimizer, average, state, recipe, seed) -> None:
    """One safetensors file, written beside and renamed: a kill leaves the old one or the new one."""
    tensors = {f"model/{name}": value for name, value in model.state_dict().items()}
    tensors |= {f"average/{name}": value for name, value in average.values.items()}
    for number, parameter in enumerate(parameter for group in optimizer.param_groups for parameter in group["params"]):
        for name, value in optimizer.state[parameter].items():
            tensors[f"optimizer/{number}/{name}"] = torch.as_tensor(value)
    tensors = {name: value.detach().clone().contiguous() for name, value in tensors.items()}  # no shared storage
    metadata = {"state": json.dumps(state), "recipe": _fingerprint(recipe, seed)}
    beside = out / (CHECKPOINT + ".writing")
    save_file(tensors, beside, metadata)
    os.replace(beside, out / CHECKPOINT)


def _load_checkpoint(out, model, optimizer, average, recipe, seed) -> dict:
    path = out / CHECKPOINT
    if not path.exists():
        return {"step": 0, "best": {}, "waited": 0, "finished": False}
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if metadata["recipe"] != _fingerprint(recipe, seed):
        raise RecipeError(f"{out} holds a run of another recipe. Give another folder, or the recipe of that run.")
    model.load_state_dict({name[6:]: value for name, value in tensors.items() if name.startswith("model/")})
    for name, value in tensors.items():
        if name.startswith("average/"):
            average.values[name[8:]].copy_(value)
    members = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for name, value in tensors.items():
        if name.startswith("optimizer/"):
            _, number, entry = name.split("/")
            parameter = members[int(number)]
            optimizer.state[parameter][entry] = value if entry == "step" else value.to(parameter.device)
    return json.loads(metadata["state"])
