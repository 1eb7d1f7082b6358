"""One training run: data, stages in order, each starting from the weights of the one before, and the bundle."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from tqdm import tqdm

from uvlm_core.errors import RecipeError
from uvlm_core.files import replace_tensors
from uvlm_core.model.config import ModelConfig
from uvlm_core.model.fixed_norm import fix_norms
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training import processes
from uvlm_core.training.building import (
    build_model,
    bundle_folder,
    keep_tokenizer,
    load_weights,
    recipe_config,
    started_from,
    train_only,
)
from uvlm_core.training.estimate import data_root
from uvlm_core.training.loop import StageTask, fit
from uvlm_core.training.memory import is_out_of_memory
from uvlm_core.training.prepare import GridCase, prepare
from uvlm_core.training.recipe import Recipe, StageRecipe, load_recipe
from uvlm_core.training.recipe_check import check_patches
from uvlm_core.training.run_lock import only_training
from uvlm_core.training.segmentation import whole_images
from uvlm_core.training.used_cases import USED_CASES, refuse_trained, used_cases
from uvlm_core.worker.memory import give_back_memory

WEIGHTS = "model.safetensors"


def train_command(recipe_path: str | Path, out: Path, stage: int | None = None, start: Path | None = None,
                  data: Path | None = None, device: str = "cpu", cancel: Callable[[], bool] = lambda: False) -> Path:
    """Trains the stages of a recipe (or only number `stage`, from 1) into a run folder and returns the last weights.

    What is finished is kept: the same command after a kill goes on where it stopped.

    Args:
        start: weights (.safetensors) for the first stage that is trained, or a bundle, whose configuration and
            tokenizer are then the run's; default the stage before it, or the recipe's bundle.
        data: folder of the real scans; default the environment variable UVLM_DATA.

    Raises:
        RecipeError: a recipe that cannot be run, start weights that do not fit, or another training in this folder.
    """
    (recipe, start), out = started_from(load_recipe(recipe_path), start), Path(out)
    recipe.numbers(stage)  # refuses one that does not exist
    check_patches(recipe.stages, recipe_config(recipe).encoder.total_stride())
    root = data_root(data)
    _refuse_device(device)
    _refuse_another_recipe(recipe, out)
    place = processes.join(device)
    out.mkdir(parents=True, exist_ok=True)
    with only_training(out) if processes.is_main() else nullcontext():
        return _train_stages(recipe, out, stage, start, root, place, cancel)


def _train_stages(recipe: Recipe, out: Path, stage: int | None, start: Path | None, root: Path | None,
                  place: torch.device, cancel: Callable[[], bool]) -> Path:
    if processes.is_main():
        _write_json(out / "recipe.json", recipe.to_dict())
        _write_json(out / "environment.json", {
            "python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine(),
            "threads": torch.get_num_threads(), "processes": processes.count(), "device": str(place)})
        keep_tokenizer(recipe, out)
    weights = start
    if weights is None and recipe.bundle is not None:
        weights = bundle_folder(recipe) / WEIGHTS
    for number, part in enumerate(recipe.stages, 1):
        folder = out / f"stage{number}-{part.kind}"
        if number in recipe.numbers(stage):
            weights = _train_stage(recipe, part, number, folder, weights, root, place, cancel)
        elif (folder / WEIGHTS).exists() and number < stage and start is None:
            weights = folder / WEIGHTS
    return weights


def _refuse_device(device: str) -> None:
    """Raises RecipeError for a device that is none of ours or that this machine does not have."""
    from uvlm_core.inference.device import choose

    if device.split(":")[0] not in ("cpu", "cuda", "mps"):
        raise RecipeError(f"--device is cpu, cuda or mps; found '{device}'.")
    if device != "cpu" and processes.count() == 1:
        choose(device.split(":")[0], "auto")


def _refuse_another_recipe(recipe: Recipe, out: Path) -> None:
    """A run folder belongs to one recipe: what a stage has begun with must not change under it.

    Raises:
        RecipeError: a stage that has begun was made with other settings, data or another model.
    """
    path = out / "recipe.json"
    if not path.exists():
        return
    try:
        before = Recipe.from_dict(json.loads(path.read_text("utf-8")))
    except (RecipeError, ValueError) as error:
        raise RecipeError(f"{path} is damaged or of another version ({error}). Choose a new run folder.") from error
    begun = [number for number, part in enumerate(before.stages)
             if any((out / f"stage{number + 1}-{part.kind}").glob("*.safetensors"))]
    changed = [name for name in ("preset", "seed", "model", "data", "tokenizer_size", "bundle", "language_model")
               if getattr(before, name) != getattr(recipe, name)]
    changed += [f"stage {number + 1}" for number in begun if before.stages[number : number + 1] !=
                recipe.stages[number : number + 1]]
    if begun and changed:
        raise RecipeError(f"{out} holds a run of another recipe; different are {', '.join(changed)}. Choose a new run "
                          "folder, or give the recipe that it began with.")


def _train_stage(recipe: Recipe, part: StageRecipe, number: int, folder: Path, weights: Path | None,
                 root: Path | None, device: torch.device, cancel) -> Path:
    done = folder / WEIGHTS
    if processes.same_everywhere(done.exists()):
        return done
    model = build_model(recipe).to(device)
    if weights is not None:
        load_weights(model, weights)
    model.keep_activations(not part.checkpointing)
    cases, held_out = _cases(recipe, part, model.config, folder.parent, root, cancel)
    refuse_trained(folder.parent, held_out)
    processes.wait()  # until all have read what the main process now writes
    if processes.is_main():
        folder.mkdir(parents=True, exist_ok=True)
        _write_json(folder / USED_CASES, used_cases(folder, cases, held_out))
    if part.fixed_norms:
        fix_norms(model, whole_images(model, cases, part.fixed_norms, recipe.seed + number))
    task = stage_task(model, part, cases, held_out, recipe.seed + number, folder.parent, cancel)
    train_only(model, part.trained_parts)
    try:
        figures = fit(model, task, part, folder, recipe.seed + number, cancel)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        trouble = error.with_traceback(None)  # its frames hold the tensors
    else:
        trouble = None
    if trouble is not None:
        del model, task
        raise RecipeError(_memory_advice(recipe, number, device, cases, folder.parent)) from trouble
    if processes.is_main():
        _write_json(folder / "figures.json", figures)
        replace_tensors(done, {name: value.contiguous().clone() for name, value in model.state_dict().items()})
    processes.wait()
    return done


def _memory_advice(recipe: Recipe, number: int, device: torch.device, cases: list[GridCase], out: Path) -> str:
    from uvlm_core.training.estimate import what_fits

    give_back_memory()
    try:
        ways = what_fits(recipe, number, device, cases[:1], out / "estimate")
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        ways = []
    kind = recipe.stages[number - 1].kind
    text = f"The {kind} stage (number {number}) needs more memory than {device} has. "
    if ways:
        return text + "What would fit, to be set in the recipe: " + "; ".join(ways) + "."
    return text + "Even small patches do not fit: close other programs, or take a smaller model or a larger machine."


def _cases(recipe: Recipe, part: StageRecipe, config: ModelConfig, out: Path, root: Path | None, cancel):
    """Cases that the stage trains on, without those that it would never draw, and those that are held out."""
    sources = [source for source in recipe.data
               if part.sources is None or source.get("name") in part.sources]
    with tqdm(desc="cases", unit="case", disable=not processes.is_main()) as bar:
        def progress(done, total):
            bar.total = total
            bar.update(done - bar.n)

        cases = prepare(sources, config.grid, out / "cases", root, progress, cancel=cancel)
    trained = [case for case in cases if not case.held_out and (case.weight > 0 or not part.draws_by_weight)]
    return trained, [case for case in cases if case.held_out]


def stage_task(model: UVLM, part: StageRecipe, cases: list[GridCase], held_out: list[GridCase], seed: int,
               out: Path, cancel: Callable[[], bool] = lambda: False) -> StageTask:
    """What the stage minimises and how it is judged; True of `cancel` ends what is computed once before with
    Cancelled."""
    if part.kind == "segmentation":
        from uvlm_core.training.segmentation import segmentation_task

        return segmentation_task(model, cases, held_out, part, seed)
    if part.kind == "classification":
        from uvlm_core.training.classification import classification_task

        return classification_task(model, cases, held_out, part, seed, out, cancel)
    from uvlm_core.training.reporting import report_task

    return report_task(model, cases, held_out, part, seed, out, cancel)


def _write_json(path: Path, values: dict) -> None:
    beside = path.with_name(path.name + ".writing")
    beside.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
    os.replace(beside, path)
