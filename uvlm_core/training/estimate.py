"""What a recipe will cost on this machine, told before anything starts: parameters, memory, time."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from uvlm_core.errors import RecipeError
from uvlm_core.files import replace_text
from uvlm_core.training import loop, memory
from uvlm_core.training.measuring import MEASURED_VOXELS, full_patch, measure_stage
from uvlm_core.training.prepare import count_cases, prepare
from uvlm_core.training.recipe import Recipe, StageRecipe, load_recipe
from uvlm_core.training.recipe_check import check_patches

ESTIMATE = "estimate.json"
TEXT_CASES = 4  # that a report stage is measured with: one alone has few findings, and so short texts


@dataclass(frozen=True)
class StageEstimate:
    """One stage on one process.

    `parameters` in all and `trained`; `cases` to train on; `steps`, `steps_per_epoch` and `seconds_per_step` as
    metrics.jsonl counts them, validation left out; `preparation_seconds` for what is computed once before the first
    step (cases on the grid, tokens of a frozen encoder); `memory_mib` at its peak and `available_mib`, None where the
    system does not tell; `advice` where it will not fit.
    """

    number: int
    kind: str
    parameters: int
    trained: int
    cases: int
    steps: int
    steps_per_epoch: int
    seconds_per_step: float
    preparation_seconds: float
    memory_mib: float | None
    available_mib: float | None
    advice: list[str]

    @property
    def seconds(self) -> float:
        """Of the whole stage, without validation."""
        return self.preparation_seconds + self.steps * self.seconds_per_step

    def to_dict(self) -> dict:
        """Plain JSON values, with the seconds per epoch and of the stage."""
        return {**asdict(self), "seconds_per_epoch": self.steps_per_epoch * self.seconds_per_step,
                "seconds": self.seconds}


def estimate(recipe: Recipe, device: str = "cpu", root: Path | None = None,
             stage: int | None = None) -> list[StageEstimate]:
    """Measures one or two real steps of every stage (or only number `stage`), at reduced size where the real one is
    large.

    Args:
        root: folder of the real scans, as for training.

    Raises:
        RecipeError, CaseError: the recipe cannot be run.
    """
    from uvlm_core.training.building import recipe_config

    check_patches(recipe.stages, recipe_config(recipe).encoder.total_stride())
    with tempfile.TemporaryDirectory(prefix="uvlm-estimate-") as folder:
        return [estimate_stage(recipe, number, torch.device(device), root, Path(folder))
                for number in recipe.numbers(stage)]


def estimate_command(recipe: str | Path, out: Path, data: Path | None = None, device: str = "cpu",
                     stage: int | None = None, start: Path | None = None) -> list[str]:
    """Lines for people; the same as JSON lies in `out` afterwards. Arguments as those of `uvlm train`."""
    from uvlm_core.training.building import started_from

    started, _ = started_from(load_recipe(recipe), start)  # weights change neither time nor memory
    found = estimate(started, device, data_root(data), stage)
    rows = [row.to_dict() for row in found]
    replace_text(Path(out) / ESTIMATE, json.dumps({"device": device, "processes": 1, "stages": rows}, indent=1) + "\n")
    return estimate_rows(found)


def estimate_stage(recipe: Recipe, number: int, device: torch.device, root: Path | None,
                   folder: Path) -> StageEstimate:
    """Of stage `number`, from 1; `folder` takes the sample cases."""
    from uvlm_core.training.building import build_model

    part = recipe.stages[number - 1]
    sources = [source for source in recipe.data if part.sources is None or source.get("name") in part.sources]
    model = build_model(recipe).to(device)
    spec = model.config.grid
    cases, held_out = count_cases(sources, spec, root)
    before = {name for stage in recipe.stages[: number - 1] for name in stage.sources or _names(recipe)}
    fresh = [source for source in sources if source["name"] not in before]  # the others are on the grid already
    started = loop.clock()
    wanted = math.ceil(TEXT_CASES / len(sources)) if part.kind == "report" else 1
    sample = prepare(sources, spec, folder / "cases", root, sample=wanted)
    made = sum(case.source in [source["name"] for source in fresh] for case in sample)
    gridding = (loop.clock() - started) / max(1, made) * sum(count_cases(fresh, spec, root))
    if not sample:
        raise RecipeError(f"The {part.kind} stage has no case to train on.")
    line = measure_stage(model, part, sample, recipe.seed + number, folder)
    voxels = part.batch * math.prod(full_patch(part, sample))
    available, needed = memory.available_mib(device), line.memory(voxels)
    advice = []
    if needed is not None and available is not None and needed > available:
        advice = what_fits(recipe, number, device, sample, folder)
    return StageEstimate(
        number, part.kind, sum(value.numel() for value in model.parameters()),
        sum(value.numel() for value in model.parameters() if value.requires_grad), cases, part.steps,
        math.ceil(cases / (part.batch * part.accumulate)), line.seconds(voxels),
        gridding + (cases + held_out) * line.preparation, needed, available, advice)


def _names(recipe: Recipe) -> list[str]:
    return [source["name"] for source in recipe.data]


def what_fits(recipe: Recipe, number: int, device: torch.device, sample: list, folder: Path) -> list[str]:
    """Changes of the stage with which a step fits into the memory there is, the mildest first, from measured steps."""
    from uvlm_core.training.building import build_model

    part, available = recipe.stages[number - 1], memory.available_mib(device)
    if available is None:
        return []
    lean_part = replace(part, checkpointing=True)
    line, lean = None, None
    for most in (MEASURED_VOXELS, MEASURED_VOXELS / 4, MEASURED_VOXELS / 16):
        try:
            line = line or measure_stage(build_model(recipe).to(device), part, sample, recipe.seed + number, folder,
                                         most, repeats=1)
            lean = measure_stage(build_model(recipe).to(device), lean_part, sample, recipe.seed + number, folder,
                                 most, repeats=1)
            break
        except (RuntimeError, MemoryError) as error:
            if not memory.is_out_of_memory(error):
                raise
    if line is None or lean is None:
        return []
    ways = _ways(part, full_patch(part, sample), build_model(recipe).config.encoder.total_stride())
    found = []
    for text, changed, voxels in ways:
        needed = (lean if changed.checkpointing else line).memory(voxels)
        if needed is not None and needed <= available:
            found.append(f"{text} (about {needed / 1024:.1f} of {available / 1024:.1f} GiB)")
        if len(found) == 3:
            break
    return found


def _ways(part: StageRecipe, full: tuple[int, int, int],
          stride: tuple[int, int, int]) -> list[tuple[str, StageRecipe, float]]:
    """(what to change, the changed stage, voxels of its parts), first what leaves the result as it is."""
    lean, size = replace(part, checkpointing=True), math.prod(full)
    ways = [] if part.checkpointing else [("checkpointing true", lean, part.batch * size)]
    for batch in [count for count in range(part.batch - 1, 0, -1) if part.batch % count == 0]:
        text = f"batch {batch} with accumulate {part.accumulate * part.batch // batch}"
        ways.append((text, replace(part, batch=batch), batch * size))
        if not part.checkpointing:
            ways.append((f"{text} and checkpointing true", replace(lean, batch=batch), batch * size))
    patch = full
    while any(axis > 2 * step for axis, step in zip(patch, stride, strict=True)):
        axis = max((a for a in range(3) if patch[a] > 2 * stride[a]), key=lambda a: patch[a])
        patch = tuple(value - stride[a] * (a == axis) for a, value in enumerate(patch))
        ways.append((f"patch {list(patch)}, batch 1 and checkpointing true",
                     replace(lean, batch=1, patch=patch), math.prod(patch)))
    return ways


def estimate_rows(found: list[StageEstimate]) -> list[str]:
    """Lines of a table for people."""
    rows = [("stage", "parameters (trained)", "cases", "per step", "per epoch", "steps", "in all", "memory")]
    for row in found:
        fits = "" if row.available_mib is None else f" of {row.available_mib / 1024:.1f}"
        rows.append((f"{row.number} {row.kind}", f"{row.parameters / 1e6:.2f} M ({row.trained / 1e6:.2f} M)",
                     str(row.cases), duration(row.seconds_per_step),
                     duration(row.steps_per_epoch * row.seconds_per_step), str(row.steps), duration(row.seconds),
                     "not known" if row.memory_mib is None else f"{row.memory_mib / 1024:.1f}{fits} GiB"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for row in found:
        if row.advice:
            lines.append(f"Stage {row.number} does not fit into the memory. What would: " + "; ".join(row.advice) + ".")
        elif row.memory_mib is not None and row.available_mib is not None and row.memory_mib > row.available_mib:
            lines.append(f"Stage {row.number} does not fit into the memory, however small its patch is. "
                         "Use a smaller model or a machine with more memory.")
    lines.append(f"In all {duration(sum(row.seconds for row in found))} on one process, validation not counted.")
    return lines


def duration(seconds: float) -> str:
    """"0.25 s", "3.2 min", "5.1 h" or "12 days"."""
    for unit, length, least in (("days", 86400, 172800), ("h", 3600, 5400), ("min", 60, 90)):
        if seconds >= least:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.2f} s"


def data_root(data: Path | None) -> Path | None:
    """The folder of real scans: as given, else the environment variable UVLM_DATA."""
    return data or (Path(os.environ["UVLM_DATA"]) if os.environ.get("UVLM_DATA") else None)
