"""From a finished run to a bundle: thresholds from one set of phantoms, figures from another, both never trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from uvlm_core.errors import RecipeError
from uvlm_core.evaluation.cases import summary
from uvlm_core.evaluation.phantom_cases import measure, ready_bundle
from uvlm_core.inference.device import choose
from uvlm_core.inference.pipeline import analyse_volume
from uvlm_core.model.bundle import BundleInfo, save_bundle
from uvlm_core.model.tokenizer import Tokenizer
from uvlm_core.phantom.lesions import DRAWN
from uvlm_core.training.building import build_model, load_weights
from uvlm_core.training.comparison import COMPARISON, compare_run, held_out_results
from uvlm_core.training.cut_offs import CASES, choose_cut_offs
from uvlm_core.training.model_card import model_card
from uvlm_core.training.real_figures import real_figures
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import WEIGHTS
from uvlm_core.training.vocabulary import TOKENIZER

INTENDED_USE = "Research and education only. Not a medical device; not for diagnosis or treatment."


def export_run(run: Path, out: Path, cases: int = 200, seed: int = 900000, data: Path | None = None,
               even_if_worse: bool = False, device: str = "cpu") -> Path:
    """Writes the bundle of a run to `out` and returns it.

    `data` is the folder of the recipe's real scans, on which the fit of the organs is told too. A run that started from
    a bundle is compared with it first (`training.comparison`), and its held-out cases are kept to look at.

    Figures are measured through the same pipeline that users run. Measured cases are kept in the run folder, so an
    interrupted export goes on.

    Raises:
        RecipeError: the run is not finished, its phantoms were trained on, or it did not get better than the bundle
            that it started from.
    """
    run = Path(run)
    choose(device, "auto")  # here rather than hours later
    if cases < 1 or seed < 0:
        raise RecipeError(f"The number of cases must be at least 1 and the seed at least 0; found {cases} and {seed}.")
    if not (run / "recipe.json").is_file():
        raise RecipeError(f"{run} is no training run: it has no recipe.json. Give the folder that uvlm train wrote.")
    recipe = Recipe.from_dict(json.loads((run / "recipe.json").read_text("utf-8")))
    _refuse_trained_seeds(recipe, range(seed, seed + cases))
    weights = run / f"stage{len(recipe.stages)}-{recipe.stages[-1].kind}" / WEIGHTS
    if not weights.exists():
        raise RecipeError(f"The last stage of {run} is not finished; call uvlm train again.")
    if not (run / TOKENIZER).exists():
        raise RecipeError(f"{run} has no tokenizer, because none of its stages learned to write reports, so its model "
                          "cannot be used. Add a report stage, or start from a bundle.")
    if recipe.bundle is not None and not even_if_worse:
        _refuse_worse(run, data, device)
    else:
        held_out_results(run, data, device)
    model = build_model(recipe)
    load_weights(model, weights)
    info = _first_info(recipe, model)
    tokenizer = Tokenizer.from_file(run / TOKENIZER).to_json()
    draft = run / "draft"
    save_bundle(draft, model, tokenizer, "# Draft\n", info)
    others = min(cases, CASES)
    info = replace(info, **choose_cut_offs(draft, info.assessed, run / "cut_offs", others, device))
    save_bundle(draft, model, tokenizer, "# Draft\n", info)
    rows = measure(draft, range(seed, seed + cases), run / "measured", device=device)
    figures = {**summary(rows, info.assessed, info.thresholds), "threshold_cases": others}
    if data is not None:
        ready = ready_bundle(draft, device)
        figures["real_scans_trained_on"] = real_figures(
            recipe, data, lambda volume: analyse_volume(volume, ready, write_report=False).labels)
    info = replace(info, figures=figures)
    (run / "figures.json").write_text(json.dumps(info.figures, indent=1) + "\n", "utf-8")
    save_bundle(Path(out), model, tokenizer, model_card(recipe, info, sum(p.numel() for p in model.parameters())), info)
    return Path(out)


def _refuse_worse(run: Path, data: Path | None, device: str) -> None:
    reasons = compare_run(run, data, device)["refused"]
    if reasons:
        raise RecipeError(f"The model did not get better, so it replaces nothing: {'; '.join(reasons)}. The figures "
                          f"are in {run / COMPARISON}. Add cases, train for fewer steps or at a lower rate, or export "
                          "it nevertheless with --even-if-worse.")


def _refuse_trained_seeds(recipe: Recipe, seeds: range) -> None:
    for source in recipe.data:
        if source["kind"] == "phantoms":
            trained = range(source["first_seed"], source["first_seed"] + source["count"])
            if set(trained) & set(seeds):
                raise RecipeError(f"Seeds {seeds.start} to {seeds.stop - 1} were trained on ({source['name']}); "
                                  "choose others with --seed.")


def _first_info(recipe: Recipe, model) -> BundleInfo:
    drawn = {row[0] for row in DRAWN} | {"heart"}
    from uvlm_core.labels import findings

    assessed = [finding.name for finding in findings() if finding.label in drawn]
    data = "; ".join(f"{source['name']} ({source['kind']}, {source.get('count', 1)})" for source in recipe.data
                     if not source.get("held_out"))
    return BundleInfo(recipe.name, "0.1.0", recipe.licence, INTENDED_USE, model.config.to_dict(),
                      dict.fromkeys(assessed, 0.5), assessed, data)
