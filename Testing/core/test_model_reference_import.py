"""Start weights from checkpoints of nnU-Net v2 and of the released code: what fits by name, shape and label."""

from __future__ import annotations

import json
from collections import OrderedDict

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from test_training_run import RECIPE
from typer.testing import CliRunner

from uvlm_core.cli import app
from uvlm_core.errors import BundleError
from uvlm_core.model.reference import reference_aliases, reference_names
from uvlm_core.model.reference_import import import_tensors
from uvlm_core.training.recipe import Recipe
from uvlm_core.training.run import build_model, load_weights

LABELS = {"background": 0, "spleen": 1, "kidney_right": 2, "something_else": 3, "liver": 4}
STRIDES = [[1, 1, 1]] + [[2, 2, 2]] * 4


def recipe(**changes) -> dict:
    """Concatenating skips as nnU-Net's; a wider encoder where `changes` say so."""
    values = json.loads(json.dumps(RECIPE))
    values["model"]["segmenter"] = {"fusion": "concat"}
    values["model"]["encoder"].update(changes)
    return values


def nnunet_file(path, values: dict, labels=LABELS, strides=STRIDES):
    """A checkpoint as nnU-Net's trainer writes it: every tensor under all its names, plans and data set beside them."""
    model = build_model(Recipe.from_dict({**values, "seed": 77}))
    parameters = dict(model.named_parameters())
    weights = OrderedDict()
    for name, target in reference_names(model, known_only=True).items():
        if name.startswith(("encoder.", "decoder.")):
            value = target.of(parameters[target.name]).detach().clone()
            if name.startswith("decoder.seg_layers."):
                value = value[: len(labels)] + torch.arange(len(labels)).view(-1, *[1] * (value.ndim - 1))
            weights[name] = value
    for alias, name in reference_aliases(model, known_only=True).items():
        if name in weights:
            weights[alias] = weights[name]
    configuration = {"spacing": [1.5, 1.0, 1.0], "normalization_schemes": ["CTNormalization"],
                     "architecture": {"network_class_name": "dynamic_network_architectures.architectures.unet."
                                                            "ResidualEncoderUNet",
                                      "arch_kwargs": {"n_stages": 5, "strides": strides, "conv_bias": True}}}
    content = {"network_weights": weights, "optimizer_state": {"state": {}, "param_groups": []},
               "grad_scaler_state": None, "logging": {"mean_fg_dice": [np.float32(0.5)]}, "_best_ema": np.float64(0.5),
               "current_epoch": 1000, "trainer_name": "nnUNetTrainer", "inference_allowed_mirroring_axes": (0, 1, 2),
               "init_args": {"plans": {"configurations": {"3d_fullres": configuration}}, "configuration": "3d_fullres",
                             "fold": 0, "dataset_json": {"labels": labels}}}
    torch.save(content, path)
    return path, weights


def test_an_nnunet_checkpoint_becomes_start_weights(tmp_path):
    (tmp_path / "r.json").write_text(json.dumps(recipe()))
    path, theirs = nnunet_file(tmp_path / "checkpoint_final.pth", recipe())
    result = CliRunner().invoke(app, ["reference", "import", str(path), "-o", str(tmp_path / "w.safetensors"),
                                      "--recipe", str(tmp_path / "r.json")])
    assert result.exit_code == 0, result.output
    model = build_model(Recipe.from_dict(recipe()))
    first = {name: value.clone() for name, value in model.state_dict().items()}
    load_weights(model, tmp_path / "w.safetensors")  # fits as the start of a stage
    ours = load_file(tmp_path / "w.safetensors")
    assert torch.equal(ours["encoder.stem.conv.weight"], theirs["encoder.stem.convs.0.conv.weight"])
    assert torch.equal(ours["encoder.stages.2.0.project.conv.weight"],
                       theirs["encoder.stages.2.blocks.0.skip.1.conv.weight"])
    assert torch.equal(ours["segmenter.upsample.1.weight"], theirs["decoder.transpconvs.1.weight"])
    encoder = [name for name in ours if name.startswith("encoder.")]
    assert f"encoder    {len(encoder)} of {len(encoder)} tensors taken over" in result.output
    head, name = theirs["decoder.seg_layers.3.weight"], "segmenter.classify.3.weight"
    for label, number in LABELS.items():
        if label in model.config.labels:
            assert torch.equal(ours[name][model.config.labels.index(label)], head[number])
    untouched = model.config.labels.index("aorta")
    assert torch.equal(ours[name][untouched], first[name][untouched])
    assert torch.equal(ours["language.layers.0.ffn.0.weight"], first["language.layers.0.ffn.0.weight"])
    listing = json.loads((tmp_path / "w.json").read_text())
    assert listing["matched"]["encoder.stem.conv.weight"] == "encoder.stem.convs.0.conv.weight"
    assert listing["unused"] == [] and "spacing of [1.5, 1.0, 1.0] mm" in result.output
    assert "CTNormalization" in result.output


def test_classes_without_names_are_not_guessed(tmp_path):
    _, weights = nnunet_file(tmp_path / "a.pth", recipe())
    model = build_model(Recipe.from_dict(recipe()))
    done = import_tensors(model, weights, {})
    assert "does not name its classes" in done.left["segmenter.classify.0.weight"]
    assert "segmenter.levels.0.0.conv.weight" in done.matched


def test_another_network_is_refused_with_the_reason(tmp_path):
    from uvlm_core.training.reference_weights import import_command

    (tmp_path / "r.json").write_text(json.dumps(recipe()))
    (tmp_path / "add.json").write_text(json.dumps(RECIPE))
    path, _ = nnunet_file(tmp_path / "strides.pth", recipe(), strides=[[1, 1, 1], [1, 2, 2]] + [[2, 2, 2]] * 3)
    with pytest.raises(BundleError, match=r"strides by .*\(1, 2, 2\)"):
        import_command(path, tmp_path / "w.safetensors", str(tmp_path / "r.json"))
    wide, _ = nnunet_file(tmp_path / "wide.pth", recipe(features=[6, 6, 12, 12, 12]))
    with pytest.raises(BundleError, match=r"Nothing of the checkpoint's encoder fits.*\(6, 1, 3, 3, 3\)"):
        import_command(wide, tmp_path / "w.safetensors", str(tmp_path / "r.json"))
    fits, _ = nnunet_file(tmp_path / "fits.pth", recipe())
    lines = "\n".join(import_command(fits, tmp_path / "w.safetensors", str(tmp_path / "add.json")))
    assert "segmenter.levels.0.0.conv.weight" in lines  # skips are added there: other inputs
    with pytest.raises(BundleError, match="safetensors"):
        import_command(fits, tmp_path / "w.pth", str(tmp_path / "r.json"))
    assert not (tmp_path / "w.pth").exists()
