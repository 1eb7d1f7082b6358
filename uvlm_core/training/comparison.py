"""A run's model on held-out cases, against the one that it started from; one that is no better replaces nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import torch

from uvlm_core.errors import RecipeError
from uvlm_core.evaluation.held_out import label_figures
from uvlm_core.files import replace_text
from uvlm_core.labels import labels
from uvlm_core.model.tokenizer import Tokenizer
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.building import build_model, bundle_folder, load_weights
from uvlm_core.training.classification import finding_figures, label_matrix
from uvlm_core.training.estimate import data_root
from uvlm_core.training.held_out import look_at_cases, write_cases
from uvlm_core.training.loop import MOST_LOSS
from uvlm_core.training.prepare import GridCase, prepare
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.reporting import answer_losses
from uvlm_core.training.run import WEIGHTS
from uvlm_core.training.token_cache import cache_tokens
from uvlm_core.training.used_cases import refuse_trained
from uvlm_core.training.vocabulary import TOKENIZER

COMPARISON = "comparison.json"
FIGURES = ("organ_dice", "lesion_dice", "macro_f1", "answer_probability")  # all from 0 to 1, higher is better
LEAST_GAIN = 0.005


def compare_run(run: Path, data: Path | None = None, device: str = "cpu") -> dict:
    """Figures of both models per data source with held-out cases, and the reasons not to replace the old one.

    Returns:
        as `held_out_results`.

    Raises:
        RecipeError: the run is not finished, started from no bundle, has no held-out case, or was trained on one.
    """
    if not _recipe(Path(run)).bundle:
        raise RecipeError(f"{run} did not start from a bundle, so there is nothing to compare it with.")
    found = held_out_results(run, data, device)
    if found is None:
        raise RecipeError("No case was held out, so nothing shows whether the model got better. Hold some out: split "
                          "'validation' in the case table.")
    return found


def held_out_results(run: Path, data: Path | None = None, device: str = "cpu") -> dict | None:
    """What the finished model, and the bundle that it started from, make of the held-out cases; None without any.

    Returns:
        {"before": {source: {figure: value}}, "after": the same, "refused": [reasons]}, which is also written to the
        run folder as comparison.json, with the single cases in held_out/. Without a bundle to start from, "before" and
        "refused" are empty.

    Raises:
        RecipeError: the run is not finished, or was trained on what is held out now.
    """
    run = Path(run)
    recipe = _recipe(run)
    last = run / f"stage{len(recipe.stages)}-{recipe.stages[-1].kind}" / WEIGHTS
    if not last.exists():
        raise RecipeError(f"The last stage of {run} is not finished; call uvlm train again.")
    sources = [source for source in recipe.data if source.get("held_out") or source["kind"] == "table"]
    model = build_model(recipe).to(device)
    cases = [case for case in prepare(sources, model.config.grid, run / "cases", data_root(data)) if case.held_out]
    if not cases:
        return None
    refuse_trained(run, cases)
    started = [] if recipe.bundle is None else [("before", bundle_folder(recipe) / WEIGHTS)]
    found, seen = {"before": {}}, {}
    for name, weights in (*started, ("after", last)):
        load_weights(model, weights)
        seen[name] = look_at_cases(model, cases, run)
        found[name] = {source: held_out_figures(model, *_of_source(source, cases, seen[name]), run)
                       for source in dict.fromkeys(case.source for case in cases)}
    found["refused"] = reasons_to_refuse(found["before"], found["after"]) if started else []
    write_cases(run, model, cases, seen)
    replace_text(run / COMPARISON, json.dumps(found, indent=1) + "\n")
    return found


def _recipe(run: Path) -> Recipe:
    return Recipe.from_dict(json.loads((run / "recipe.json").read_text("utf-8")))


def _of_source(source: str, cases: list[GridCase], seen: list[dict]) -> tuple[list[GridCase], list[dict]]:
    rows = [(case, row) for case, row in zip(cases, seen, strict=True) if case.source == source]
    return [case for case, _ in rows], [row for _, row in rows]


@torch.no_grad()
def held_out_figures(model: UVLM, cases: list[GridCase], seen: list[dict], run: Path) -> dict[str, float]:
    """Those of FIGURES that the cases can tell: Dice with masks, F1 at 0.5 with labels, the mean probability of the
    report's tokens with a report.

    Args:
        seen: of `look_at_cases`, for the same cases.
    """
    model.eval()
    dice = label_figures([{"after": row} for row in seen], "after")
    figures = {}
    for kind in ("organ", "lesion"):
        values = [dice[label.name] for label in labels() if label.kind == kind and label.name in dice]
        if values:
            figures[f"{kind}_dice"] = sum(values) / len(values)
    if model.classifier is not None:
        names = model.config.findings
        told = np.array([[row["probabilities"][name] for name in names] for row in seen])
        figures |= finding_figures(told, label_matrix(cases, names), names)
    written = [case for case in cases if case.has_report]
    if written and model.language is not None and (run / TOKENIZER).exists():  # without it no stage learned to write
        losses = answer_losses(model, Tokenizer.from_file(run / TOKENIZER), written,
                               cache_tokens(model, written, run / "tokens"))
        figures["answer_probability"] = math.exp(-sum(losses) / len(losses))
    return {name: float(figures[name]) for name in FIGURES if name in figures}


def reasons_to_refuse(before: dict[str, dict[str, float]], after: dict[str, dict[str, float]]) -> list[str]:
    """Why the new model must not replace the old one; empty if it may.

    It may if some figure of some source rose by more than LEAST_GAIN and none fell by more than MOST_LOSS: what it
    learned from a few cases must not cost what it knew.
    """
    changes = {(source, name): after[source][name] - value for source, figures in before.items()
               for name, value in figures.items()}
    reasons = [f"{name} on {source} fell from {before[source][name]:.3f} to {after[source][name]:.3f}"
               for (source, name), change in changes.items() if not change >= -MOST_LOSS]  # NaN counts as a fall
    if not any(change > LEAST_GAIN for change in changes.values()):
        reasons.append("no figure on held-out cases rose" if changes else "there are no figures on held-out cases")
    return reasons
