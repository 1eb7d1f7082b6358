"""From a finished run to a bundle: thresholds from one set of phantoms, figures from another, both never trained on."""

from __future__ import annotations

import json
import os
from concurrent.futures import Future
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from uvlm_core.errors import RecipeError
from uvlm_core.evaluation.cases import case_row, summary
from uvlm_core.evaluation.findings import choose_thresholds
from uvlm_core.inference.device import choose
from uvlm_core.inference.pipeline import analyse_volume
from uvlm_core.model.bundle import BundleInfo, load_bundle, save_bundle
from uvlm_core.model.tokenizer import Tokenizer
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.phantom.lesions import DRAWN
from uvlm_core.training.building import build_model, load_weights
from uvlm_core.training.comparison import COMPARISON, compare_run, held_out_results
from uvlm_core.training.model_card import model_card
from uvlm_core.training.real_figures import real_figures
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import WEIGHTS
from uvlm_core.training.vocabulary import TOKENIZER

INTENDED_USE = "Research and education only. Not a medical device; not for diagnosis or treatment."
THRESHOLD_SEED, THRESHOLD_CASES = 800000, 120


def export_run(run: Path, out: Path, cases: int = 200, seed: int = 900000, data: Path | None = None,
               even_if_worse: bool = False) -> Path:
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
        _refuse_worse(run, data)
    else:
        held_out_results(run, data)
    model = build_model(recipe)
    load_weights(model, weights)
    info = _first_info(recipe, model)
    tokenizer = Tokenizer.from_file(run / TOKENIZER).to_json()
    draft = run / "draft"
    save_bundle(draft, model, tokenizer, "# Draft\n", info)
    others = min(cases, THRESHOLD_CASES)
    thresholds = _thresholds(draft, info, run / "thresholds", others)
    info = replace(info, thresholds=thresholds)
    save_bundle(draft, model, tokenizer, "# Draft\n", info)
    rows = measure(draft, range(seed, seed + cases), run / "measured")
    figures = {**summary(rows, info.assessed, thresholds), "threshold_cases": others}
    if data is not None:
        ready = _ready(draft)
        figures["real_scans_trained_on"] = real_figures(
            recipe, data, lambda volume: analyse_volume(volume, ready, write_report=False).labels)
    info = replace(info, figures=figures)
    (run / "figures.json").write_text(json.dumps(info.figures, indent=1) + "\n", "utf-8")
    save_bundle(Path(out), model, tokenizer, model_card(recipe, info, sum(p.numel() for p in model.parameters())), info)
    return Path(out)


def _refuse_worse(run: Path, data: Path | None) -> None:
    reasons = compare_run(run, data)["refused"]
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


def _thresholds(bundle_folder: Path, info: BundleInfo, out: Path, cases: int) -> dict[str, float]:
    """Per finding the threshold of the best F1 on phantoms of their own."""
    rows = measure(bundle_folder, range(THRESHOLD_SEED, THRESHOLD_SEED + cases), out, write_text=False)
    truth = np.array([[row["present"][name] for name in info.assessed] for row in rows], float)
    probability = np.array([[row["probabilities"][name] for name in info.assessed] for row in rows])
    return {name: round(float(value), 4) for name, value in
            zip(info.assessed, choose_thresholds(truth, probability), strict=True)}


def measure(bundle_folder: Path, seeds: range, out: Path, write_text: bool = True, reverse: bool = False,
            precision: str = "bf16") -> list[dict]:
    """One row per phantom, through the whole pipeline on the CPU; rows that are there are kept.

    `reverse` works from the last seed on, so that two processes can share the work.
    """
    out.mkdir(parents=True, exist_ok=True)
    ready = _ready(bundle_folder, precision)
    for seed in tqdm(seeds[::-1] if reverse else seeds, desc="measuring", unit="case"):
        path = out / f"{seed}.json"
        if path.exists():
            continue
        with torch.inference_mode():
            row = _measure_one(seed, ready, write_text)
        beside = path.with_suffix(f".{os.getpid()}")
        beside.write_text(json.dumps(row), "utf-8")
        os.replace(beside, path)
    return [json.loads((out / f"{seed}.json").read_text("utf-8")) for seed in seeds]


def _ready(bundle_folder: Path, precision: str = "bf16") -> Future:
    """What `analyse_volume` waits for: the loaded bundle and where it runs."""
    ready: Future = Future()
    ready.set_result((load_bundle(bundle_folder), choose("cpu", precision)))
    return ready


def _measure_one(seed: int, ready: Future, write_text: bool) -> dict:
    case = make_phantom(seed)
    study = analyse_volume(case.volume, ready, write_report=write_text)
    text = "\n".join(f"{section['title']}: {' '.join(row['text'] for row in section['sentences'])}"
                     for section in study.content["report"]["sections"])
    probabilities = {row["name"]: row["probability"] for row in study.content["findings"]}
    return case_row(study.labels, case.labels, case.volume.spacing, probabilities, text, case.present,
                    [asdict(planted) for planted in case.findings], case.report())
