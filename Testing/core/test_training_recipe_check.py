"""Wrong recipes, weights, devices and run folders are refused by name before anything is made."""

from __future__ import annotations

import copy
import json

import pytest

from uvlm_core.errors import CaseError, RecipeError, UVLMError
from uvlm_core.evaluation.bundle_figures import evaluate_bundle
from uvlm_core.phantom import generator
from uvlm_core.phantom.table import write_cases
from uvlm_core.resources import resource
from uvlm_core.training.export import export_run
from uvlm_core.training.prepare import prepare
from uvlm_core.training.recipe import Recipe, load_recipe
from uvlm_core.training.run import train_command
from uvlm_core.volumes.grid import GridSpec

PHANTOMS = {"name": "train", "kind": "phantoms", "count": 1, "first_seed": 10, "shape": [24, 32, 32],
            "spacing": [8.0, 12.0, 12.0]}
STAGE = {"kind": "segmentation", "steps": 1, "patch": [32, 32, 32], "precision": "fp32", "validate_every": 1}
RECIPE = {"name": "tiny", "preset": "demo", "seed": 5, "tokenizer_size": 300, "data": [PHANTOMS], "stages": [STAGE],
          "model": {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]},
                    "grid": {"spacing": [8.0] * 3}}}


def changed(**changes) -> dict:
    return {**copy.deepcopy(RECIPE), **changes}


def source(**changes) -> dict:
    return changed(data=[{key: value for key, value in {**PHANTOMS, **changes}.items() if value != "gone"}])


def stage(**changes) -> dict:
    return changed(stages=[{key: value for key, value in {**STAGE, **changes}.items() if value != "gone"}])


@pytest.mark.parametrize(("values", "words"), [
    ([], "must be an object"), (None, "must be an object"), ({}, "lacks name, preset, seed, data, stages"),
    (changed(seed="a"), "'seed' of the recipe must be a whole number; found 'a'"),
    (changed(seed=True), "must be a whole number"), (changed(data=None), "'data' of the recipe must be a list"),
    (changed(data=["x"]), "'data' of the recipe must be a list of objects"), (changed(data=[]), "0 data sources"),
    (changed(stages=[]), "0 stages"), (changed(stages=["x"]), "a list of objects"),
    (changed(stages=[{}]), "lacks kind"),
    (changed(model=[]), "'model' of the recipe must be an object"), (changed(colour="red"), "Unknown entry colour"),
    (stage(kind="gone"), "Stage 1 lacks kind"), (stage(steps="gone"), "lacks steps"),
    (stage(steps="many"), "'steps' of stage 1"), (stage(steps=1.5), "whole number"), (stage(steps=0), "at least 1"),
    (stage(patch=[1, 2]), "three whole numbers above 0"), (stage(patch="big"), "three whole numbers"),
    (stage(patch=[0, 16, 16]), "above 0"), (stage(rate="fast"), "'rate'"), (stage(rate=float("nan")), "'rate'"),
    (stage(ema=2), "'ema' of stage 1 .* between 0 and 1"), (stage(sources="train"), "a list of texts"),
    (stage(schedule="zigzag"), "poly, cosine, constant"), (stage(precision="fp8"), "auto, bf16, fp32"),
    (stage(step=3), "Unknown entry step"),
    (source(kind="x"), "one of the kinds phantoms"), (source(name="gone"), "needs a name"),
    (source(name="../up"), "made of letters"), (source(count="gone"), "lacks count"), (source(count=0), "at least 1"),
    (source(first_seed=-1), "at least 0"), (source(count="x"), "a whole number"),
    (source(shap=[1]), "Unknown entry shap"),
    (source(shape=[1, 2]), "three numbers above 0"),
    (changed(data=[{"name": "a", "kind": "real"}]), "lacks image"),
    (changed(data=[{"name": "a", "kind": "table"}]), "lacks path"),
    (changed(data=[{"name": "a", "kind": "table", "path": 5}]), "must be a text"),
    (changed(data=[{"name": "a", "kind": "table", "path": "x.csv", "splits": "train"}]), "Unknown entry splits"),
    (changed(data=[PHANTOMS, PHANTOMS]), "Two data sources are named 'train'"),
    (stage(rate=-1.0), "'rate' of stage 1 .* must be above 0; found -1.0"), (stage(rate=float("inf")), "a number"),
    (stage(weight_decay=-0.1), "at least 0; found -0.1"), (stage(wordings=0), "at least 1"), (changed(seed=-1), "seed"),
    (stage(draw={"liver": "much"}), "'draw' of stage 1 .* odds, numbers from 0 on; found 'much' for liver"),
    (stage(draw={"liver": -1}), "found -1 for liver"), (stage(draw={"livr": 1}), "names 'livr', which is none of"),
    (stage(plant={"liver_lesion": "often"}), "'plant' of stage 1 .* chances from 0 to 1; found 'often'"),
    (stage(plant={"liver_lesion": 2}), "found 2"), (stage(plant={"liver": 0.5}), "names 'liver', which is none of"),
    (stage(sources=["tran"]), "stage trains on tran; the recipe's data are train"),
    (source(weight=0), "The segmentation stage has no data source to train on.*Give one of them a weight above 0"),
    (changed(data=[{**PHANTOMS, "weight": 0}], stages=[{**STAGE, "kind": "classification"}]), "a weight above 0"),
    (changed(data=[{**PHANTOMS, "weight": 0}], stages=[{**STAGE, "kind": "report", "fixed_norms": 1}]), "weight above"),
    (source(weight=-1), "'weight' of the data source 'train' must be at least 0"),
    (source(held_out=True), "each is held out. Give it one that is not"),
    (source(share=2), "'share' of the data source 'train' lies between 0 and 1"),
    (changed(language_model={"folder": 3}), "'folder' of language_model must be a text; found 3"),
    (changed(language_model={}), "language_model needs a folder"),
    (changed(language_model={"folder": "x", "lora": {"rank": 0}}), "'rank' of lora of language_model .* at least 1"),
    (changed(language_model={"folder": "x", "lora": {"rnk": 8}}), "Unknown entry rnk in lora"),
    (stage(patch=[30, 33, 32]), r"'patch' of stage 1 .* multiples of \[16, 16, 16\].* Take \[32, 32, 32\]"),
    (stage(patch=[16, 16, 16]), r"together two or more. Take \[16, 16, 32\]"),
])
def test_wrong_entries_are_named(values, words, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(RecipeError, match=words):
        train_command(tmp_path / "r.json", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_source_of_weight_0_is_trained_on_where_weights_do_not_count(tmp_path):
    stages = [STAGE, *({**STAGE, "kind": "classification", "freeze_encoder": frozen} for frozen in (False, True))]
    values = changed(data=[{**PHANTOMS, "weight": 0}], stages=[stages[2], {**STAGE, "kind": "report"}])
    assert len(Recipe.from_dict(values).stages) == 2
    both = [PHANTOMS, {**PHANTOMS, "name": "never", "first_seed": 20, "weight": 0}]
    (tmp_path / "r.json").write_text(json.dumps(changed(data=both, stages=stages)), "utf-8")
    train_command(tmp_path / "r.json", tmp_path / "run")
    said = [json.loads(path.read_text("utf-8")) for path in sorted((tmp_path / "run").glob("stage*/used_cases.json"))]
    assert [row["trained"] for row in said] == [["train_10"], ["train_10"], ["never_20", "train_10"]]


def test_every_recipe_of_ours_is_sound_and_goes_there_and_back():
    for path in resource("Recipes").glob("*.json"):
        recipe = load_recipe(path.stem)
        assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize(("options", "words"), [
    ({"device": "gpu"}, "cpu, cuda or mps"), ({"start": "absent.safetensors"}, "no such file"),
    ({"start": "bad.safetensors"}, "damaged or no safetensors"), ({"start": "."}, "cannot be read")])
def test_wrong_weights_and_devices(options, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.safetensors").write_bytes(b"xxxx")
    (tmp_path / "r.json").write_text(json.dumps(RECIPE), "utf-8")
    with pytest.raises(UVLMError, match=words):
        train_command(tmp_path / "r.json", tmp_path / "run", **options)


def test_a_run_folder_belongs_to_one_recipe(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(RECIPE), "utf-8")
    weights = train_command(path, tmp_path / "run")
    path.write_text(json.dumps(changed(seed=6)), "utf-8")
    with pytest.raises(RecipeError, match="another recipe; different are seed"):
        train_command(path, tmp_path / "run")
    path.write_text(json.dumps(stage(steps=2)), "utf-8")
    with pytest.raises(RecipeError, match="different are stage 1"):
        train_command(path, tmp_path / "run")
    longer = changed(stages=[STAGE, {**STAGE, "steps": 2}], description="one stage more is no other run")
    path.write_text(json.dumps(longer), "utf-8")
    assert train_command(path, tmp_path / "run").parent.name == "stage2-segmentation"
    # what is damaged is named, with the way out
    (tmp_path / "run" / "stage2-segmentation" / "model.safetensors").unlink()
    weights.write_bytes(b"xx")
    with pytest.raises(RecipeError, match="delete the folder"):
        train_command(path, tmp_path / "run")
    (tmp_path / "run" / "recipe.json").write_text("{", "utf-8")
    with pytest.raises(RecipeError, match="damaged"):
        train_command(path, tmp_path / "run")


def test_cases_of_other_options_and_damaged_ones_are_made_anew(tmp_path, monkeypatch):
    spec = GridSpec(spacing=(8.0, 8.0, 8.0))
    folder = tmp_path / "cases"

    def image(**changes):
        case, = prepare([{**PHANTOMS, **changes}], spec, folder, None)
        return case.image.shape, (folder / "train_10" / "case.json").stat().st_mtime_ns

    shape, made = image()
    tokens = tmp_path / "tokens" / "abc" / "train_10.safetensors"
    tokens.parent.mkdir(parents=True)
    tokens.write_bytes(b"of the first image")
    assert image(weight=0.5) == (shape, made) and tokens.exists()
    other = image(shape=[32, 32, 32])[1]
    assert other > made and not tokens.exists()
    monkeypatch.setattr(generator, "DRAWING", generator.DRAWING + 1)
    assert image(shape=[32, 32, 32])[1] > other
    (folder / "train_10" / "case.json").write_text("{", "utf-8")
    assert image()[0] == shape


@pytest.mark.parametrize("grid", [{"spacing": [0, 0, 0]}, {"spacing": [3, 3]}, {"hu_curve": []}, {"multiple": 0},
                                  {"hu_curve": [[0, 0], [0, 1]]}, {"max_shape": [1, 1, 1]}])
def test_impossible_grids(grid, tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(changed(model={"grid": grid})), "utf-8")
    with pytest.raises(UVLMError, match="grid"):
        train_command(tmp_path / "r.json", tmp_path / "run")


def test_stages_without_held_out_cases_end_with_their_last_weights(tmp_path):
    path = tmp_path / "r.json"
    path.write_text(json.dumps(stage(kind="classification", patch="gone", freeze_encoder=True)), "utf-8")
    assert train_command(path, tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"cases": 0}, {"cases": -3}, {"seed": -1}])
def test_impossible_numbers_of_cases(options, tmp_path, model_folder):
    with pytest.raises(RecipeError, match="at least"):
        export_run(tmp_path, tmp_path / "bundle", **options)
    with pytest.raises(CaseError, match="at least"):
        evaluate_bundle(model_folder, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_export_of_what_is_no_run(tmp_path):
    with pytest.raises(RecipeError, match="no training run"):
        export_run(tmp_path / "absent", tmp_path / "bundle")


@pytest.mark.parametrize("options", [{"seed": -5}, {"shape": (8, 8, 8)}, {"region": "Chest"}])
def test_impossible_phantoms_leave_no_folder(options, tmp_path):
    with pytest.raises(CaseError):
        write_cases(1, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_phantoms_of_other_options_are_not_mixed_and_damaged_rows_made_again(tmp_path):
    path = write_cases(1, tmp_path, 3, shape=(24, 32, 32))
    before = path.read_bytes()
    with pytest.raises(CaseError, match="phantom_3 with other options"):
        write_cases(1, tmp_path, 3, shape=(16, 16, 16))
    for content in ("{", "[]", "{}"):
        (tmp_path / "rows" / "phantom_3.json").write_text(content, "utf-8")
        assert write_cases(1, tmp_path, 3, shape=(24, 32, 32)).read_bytes() == before
