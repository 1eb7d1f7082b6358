"""A fine-tuned model against the one it started from, on held-out cases; one that is no better replaces nothing."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch

from uvlm_core.errors import RecipeError
from uvlm_core.files import replace_text
from uvlm_core.model.tokenizer import Tokenizer
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.building import build_model, bundle_folder, load_weights
from uvlm_core.training.classification import finding_figures, label_matrix, predict_cached
from uvlm_core.training.estimate import data_root
from uvlm_core.training.prepare import GridCase, prepare
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.reporting import answer_losses
from uvlm_core.training.run import WEIGHTS
from uvlm_core.training.segmentation import validate_segmentation
from uvlm_core.training.token_cache import cache_tokens
from uvlm_core.training.vocabulary import TOKENIZER

COMPARISON = "comparison.json"
FIGURES = ("organ_dice", "lesion_dice", "macro_f1", "answer_probability")  # all from 0 to 1, higher is better
LEAST_GAIN, MOST_LOSS = 0.005, 0.01


def compare_run(run: Path, data: Path | None = None, device: str = "cpu") -> dict:
    """Figures of both models per data source with held-out cases, and the reasons not to replace the old one.

    Returns:
        {"before": {source: {figure: value}}, "after": the same, "refused": [reasons]}, which is also written to the
        run folder as comparison.json.

    Raises:
        RecipeError: the run is not finished, started from no bundle, or has no held-out case.
    """
    run = Path(run)
    recipe = Recipe.from_dict(json.loads((run / "recipe.json").read_text("utf-8")))
    last = run / f"stage{len(recipe.stages)}-{recipe.stages[-1].kind}" / WEIGHTS
    if recipe.bundle is None:
        raise RecipeError(f"{run} did not start from a bundle, so there is nothing to compare it with.")
    if not last.exists():
        raise RecipeError(f"The last stage of {run} is not finished; call uvlm train again.")
    model = build_model(recipe).to(device)
    cases = [case for case in prepare(recipe.data, model.config.grid, run / "cases", data_root(data)) if case.held_out]
    if not cases:
        raise RecipeError("No case was held out, so nothing shows whether the model got better. Hold some out: split "
                          "'validation' in the case table.")
    found = {}
    for name, weights in (("before", bundle_folder(recipe) / WEIGHTS), ("after", last)):
        load_weights(model, weights)
        found[name] = {source: held_out_figures(model, [case for case in cases if case.source == source], run)
                       for source in dict.fromkeys(case.source for case in cases)}
    found["refused"] = reasons_to_refuse(found["before"], found["after"])
    replace_text(run / COMPARISON, json.dumps(found, indent=1) + "\n")
    return found


@torch.no_grad()
def held_out_figures(model: UVLM, cases: list[GridCase], run: Path) -> dict[str, float]:
    """Those of FIGURES that the cases can tell: Dice with masks, F1 at 0.5 with labels, the mean probability of the
    report's tokens with a report."""
    model.eval()
    figures = {}
    masked = [case for case in cases if case.has_masks]
    if masked and model.segmenter is not None:
        figures |= validate_segmentation(model, masked)
    cached = cache_tokens(model, cases, run / "tokens")
    if model.classifier is not None:
        names = model.config.findings
        figures |= finding_figures(predict_cached(model, cached), label_matrix(cases, names), names)
    written = [number for number, case in enumerate(cases) if case.has_report]
    if written and model.language is not None:
        losses = answer_losses(model, Tokenizer.from_file(run / TOKENIZER), [cases[number] for number in written],
                               [cached[number] for number in written])
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
