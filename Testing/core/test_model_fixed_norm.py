"""Norms measured once: the same function as before on the scans they were measured on, and the same for every crop."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from uvlm_core.errors import RecipeError
from uvlm_core.model.bundle import BundleInfo, load_bundle, save_bundle
from uvlm_core.model.config import ModelConfig, preset
from uvlm_core.model.fixed_norm import fix_norms
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.building import load_weights
from uvlm_core.training.run import train_command

CONFIG = preset("demo").to_dict()
CONFIG["encoder"] |= {"features": (4, 4, 8, 8, 8), "blocks": (1, 1, 1, 1, 1)}


@pytest.fixture
def model() -> UVLM:
    torch.manual_seed(3)
    return UVLM(ModelConfig.from_dict(CONFIG)).eval()


@torch.no_grad()
def test_on_the_scan_it_was_measured_on_nothing_changes(model):
    image = torch.randn(1, 1, 32, 48, 32)
    before = model.segment(model.encode(image))
    fix_norms(model, [image])
    assert torch.allclose(model.segment(model.encode(image)), before, atol=2e-3)
    assert model.config.encoder.norm == "fixed"


@torch.no_grad()
def test_a_crop_is_seen_as_the_whole_scan(model):
    """Stage 0 looks no further than 4 voxels: within that of the border, crop and whole must agree."""
    image = torch.randn(1, 1, 32, 48, 64)
    image[..., 32:] += 3.0  # the other half looks different, as lungs and abdomen do
    part, inner = (..., slice(0, 32)), (..., slice(4, 28), slice(4, 44), slice(4, 28))

    def difference() -> float:
        whole, crop = model.encode(image)[0][part][inner], model.encode(image[part])[0][inner]
        return float((whole - crop).norm() / whole.norm())

    assert difference() > 0.1
    fix_norms(model, [image])
    assert difference() < 1e-5


def test_weights_and_bundles_keep_them(model, tmp_path, root):
    fix_norms(model, [torch.randn(1, 1, 32, 32, 32)])
    save_file({name: value.clone() for name, value in model.state_dict().items()}, tmp_path / "model.safetensors")
    other = UVLM(ModelConfig.from_dict(CONFIG))
    load_weights(other, tmp_path / "model.safetensors")
    assert torch.equal(other.encoder.stem.norm.variance, model.encoder.stem.norm.variance)
    assert other.config == model.config
    info = BundleInfo("fixed", "1", "Apache-2.0", "tests", model.config.to_dict(), {}, [], "none")
    tokenizer = (root / "Resources" / "Models" / "demo" / "tokenizer.json").read_text("utf-8")
    save_bundle(tmp_path / "bundle", model, tokenizer, "# Card\n", info)
    loaded = load_bundle(tmp_path / "bundle").model
    assert torch.allclose(loaded.encoder.stem.norm.variance, model.encoder.stem.norm.variance, rtol=1e-3)


def test_a_stage_fixes_the_norms_and_the_next_one_keeps_them(tmp_path):
    phantoms = {"kind": "phantoms", "name": "train", "count": 2, "first_seed": 10, "shape": [48, 64, 64],
                "spacing": [5.0, 6.0, 6.0]}
    stage = {"kind": "segmentation", "steps": 2, "patch": [32, 32, 32], "precision": "fp32", "rate": 1e-9}
    recipe = {"name": "tiny", "preset": "demo", "seed": 5, "tokenizer_size": 700, "data": [phantoms],
              "model": {"encoder": {"features": [4, 4, 8, 8, 8], "blocks": [1, 1, 1, 1, 1]},
                        "grid": {"spacing": [6.0, 6.0, 6.0]}},
              "stages": [{**stage, "fixed_norms": 2, "draw": {"liver": 20}}, stage]}
    (tmp_path / "tiny.json").write_text(json.dumps(recipe))
    train_command(tmp_path / "tiny.json", tmp_path / "run")
    first, second = (load_file(tmp_path / "run" / f"stage{number}-segmentation" / "model.safetensors")
                     for number in (1, 2))
    measured = first["encoder.stem.norm.variance"]
    assert not torch.equal(measured, torch.ones_like(measured))
    assert torch.equal(measured, second["encoder.stem.norm.variance"])
    recipe["stages"] = [{**stage, "draw": {"Lever": 1}}]
    (tmp_path / "other.json").write_text(json.dumps(recipe))
    with pytest.raises(RecipeError, match="Lever"):
        train_command(tmp_path / "other.json", tmp_path / "other")
