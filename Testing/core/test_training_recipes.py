"""The recipes that come with UVLM, their description, and the rule that a fine-tuned model must have got better."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
import torch
from safetensors.torch import load_file
from test_training_run import PHANTOM, RECIPE
from untrained_bundle import TEXT

from uvlm_core.errors import RecipeError
from uvlm_core.model.bundle import BundleInfo, save_bundle
from uvlm_core.model.config import preset
from uvlm_core.model.tokenizer import train_tokenizer
from uvlm_core.training.building import build_model
from uvlm_core.training.comparison import compare_run, reasons_to_refuse
from uvlm_core.training.export import export_run
from uvlm_core.training.recipe import Recipe, StageRecipe, load_recipe
from uvlm_core.training.run import train_command

NAMES = ("base", "demo", "finetune-corrections", "paper-abdomen", "paper-chest")


def test_every_key_is_described(root):
    text = (root / "docs" / "recipes.md").read_text("utf-8")
    keys = {entry.name for kind in (Recipe, StageRecipe) for entry in fields(kind)}
    assert [key for key in sorted(keys) if f"`{key}`" not in text] == []
    assert [name for name in NAMES if f"`{name}`" not in text and f"| `{name}" not in text] == []
    for entry in fields(StageRecipe):
        row = next(line for line in text.splitlines() if line.startswith(f"| `{entry.name}` |"))
        if entry.name not in ("kind", "steps"):
            default = {} if entry.default_factory is dict else entry.default
            shown, wanted = row.split("|")[2].strip(" `"), json.dumps(default).strip('"')
            assert shown == wanted or float(shown) == float(wanted), row


@pytest.mark.parametrize("name", NAMES)
def test_recipes_are_complete_and_name_their_data(name):
    recipe = load_recipe(name)
    sources = {source["name"] for source in recipe.data}
    assert recipe.name == name and recipe.description
    assert all(set(stage.sources or ()) <= sources for stage in recipe.stages)
    assert [stage.kind for stage in recipe.stages if stage.kind != "segmentation"]


@pytest.mark.parametrize("name", ["paper-chest", "paper-abdomen"])
def test_paper_recipes_have_the_papers_numbers(name):
    recipe = load_recipe(name)
    first, second, third = recipe.stages
    assert (first.patch, first.optimizer, first.rate, first.schedule) == ((96, 128, 128), "sgd", 0.01, "poly")
    assert (second.encoder_rate, second.patch, third.freeze_encoder) == (0.1, None, True)
    assert [stage.steps * stage.batch * stage.accumulate for stage in recipe.stages] == [250000] * 3
    values = preset(recipe.preset).to_dict()
    assert {**values["injection"], **recipe.model["injection"]}["multi_layer"] is True
    assert values["grid"]["max_shape"] == (192, 256, 256) and recipe.model["language"]["cues"] == "none"


def test_a_model_that_lost_something_or_won_nothing_replaces_nothing():
    before = {"corrections": {"lesion_dice": 0.5, "macro_f1": 0.7}, "phantoms": {"lesion_dice": 0.6}}

    def after(lesion, f1, old):
        return {"corrections": {"lesion_dice": lesion, "macro_f1": f1}, "phantoms": {"lesion_dice": old}}

    assert reasons_to_refuse(before, after(0.6, 0.7, 0.6)) == []
    assert reasons_to_refuse(before, after(0.5, 0.71, 0.595)) == []
    assert reasons_to_refuse(before, before) == ["no figure on held-out cases rose"]
    assert reasons_to_refuse(before, after(0.503, 0.7, 0.6)) == ["no figure on held-out cases rose"]
    assert reasons_to_refuse(before, after(0.6, 0.7, 0.58)) == ["lesion_dice on phantoms fell from 0.600 to 0.580"]
    assert "fell" in reasons_to_refuse(before, after(0.6, float("nan"), 0.6))[0]
    assert reasons_to_refuse({}, {}) == ["there are no figures on held-out cases"]


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """An untrained tiny bundle and a recipe that fine-tunes its masks."""
    folder = tmp_path_factory.mktemp("start")
    model = build_model(Recipe.from_dict(RECIPE))
    names = list(model.config.findings)
    info = BundleInfo(name="tiny", version="0", licence="Apache-2.0", intended_use="tests", config={},
                      thresholds=dict.fromkeys(names, 0.5), assessed=names, training_data="none")
    save_bundle(folder / "bundle", model, train_tokenizer([TEXT], 400).to_json(), "# t\n", info)
    return folder


def finetune(folder, name: str, rate: float):
    stage = {"kind": "report", "steps": 40, "batch": 2, "warm_up": 0, "ema": 0.0, "precision": "fp32", "rate": rate,
             "freeze_encoder": True, "validate_every": 20, "keep_best": True, "trained_parts": ["language"]}
    values = {"name": name, "preset": "demo", "seed": 5, "bundle": "demo", "stages": [stage],
              "data": [{"name": "train", "count": 2, "first_seed": 10, **PHANTOM},
                       {"name": "held", "count": 1, "first_seed": 50, "held_out": True, **PHANTOM}]}
    (folder / f"{name}.json").write_text(json.dumps(values))
    return train_command(folder / f"{name}.json", folder / name, start=folder / "bundle")


def test_fine_tuning_starts_from_the_bundle_and_trains_what_it_names(started):
    weights = load_file(finetune(started, "better", rate=0.01))
    start = load_file(started / "bundle" / "model.safetensors")
    moved = {key.split(".")[0] for key in start if not torch.equal(start[key].float(), weights[key])}
    assert moved == {"language"}
    assert (started / "better" / "tokenizer.json").read_text() == (started / "bundle" / "tokenizer.json").read_text()
    found = compare_run(started / "better")
    assert found["refused"] == [] and json.loads((started / "better" / "comparison.json").read_text()) == found
    before, after = (found[name]["held"] for name in ("before", "after"))
    assert after["answer_probability"] > before["answer_probability"] + 0.005
    assert before["organ_dice"] == after["organ_dice"] and "lesion_dice" in before


def test_a_run_that_made_it_worse_ends_with_its_start_and_is_not_exported(started):
    weights = load_file(finetune(started, "worse", rate=10.0))
    start = load_file(started / "bundle" / "model.safetensors")
    assert all(torch.allclose(start[key].float(), weights[key], atol=1e-6) for key in start)
    with pytest.raises(RecipeError, match=r"did not get better.*no figure on held-out cases rose.*--even-if-worse"):
        export_run(started / "worse", started / "out")
    assert not (started / "out").exists()


def test_the_best_weights_need_held_out_cases(tmp_path, started):
    stage = {"kind": "report", "steps": 2, "freeze_encoder": True, "keep_best": True, "precision": "fp32"}
    (tmp_path / "r.json").write_text(json.dumps({
        **RECIPE, "stages": [stage], "data": [{"name": "train", "count": 1, "first_seed": 10, **PHANTOM}]}))
    with pytest.raises(RecipeError, match="no held-out case"):
        train_command(tmp_path / "r.json", tmp_path / "run")
