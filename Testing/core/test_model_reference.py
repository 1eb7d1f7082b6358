"""Reference mode: the released code's fixtures, and configurations without one against a second description."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from released_oracle import Released
from safetensors.torch import load_file, save_file

from uvlm_core.errors import BundleError, RecipeError
from uvlm_core.model.generate import generate
from uvlm_core.model.reference import load_reference_state, reference_aliases, reference_config, reference_state
from uvlm_core.model.reference_verify import format_rows, verify_fixture
from uvlm_core.model.uvlm import UVLM

REFERENCE = os.environ.get("UVLM_REFERENCE")
FIXTURES = Path(REFERENCE) / "fixtures" if REFERENCE else None
FOLDERS = sorted(path.parent for path in FIXTURES.glob("*/config.json")) if FIXTURES else []
needs_fixtures = pytest.mark.skipif(not FOLDERS, reason="UVLM_REFERENCE does not name a folder with fixtures/")

ENCODER = {"n_stages": 4, "features_per_stage": [8, 12, 16, 16], "kernel_sizes": [[3, 3, 3]] * 4,
           "strides": [[1, 1, 1], [2, 2, 2], [1, 2, 2], [2, 2, 2]], "n_blocks_per_stage": [1, 2, 1, 2],
           "conv_bias": True}
REPORT = {"kind": "UVLM", "encoder": ENCODER, "llm_embed_dim": 32, "num_heads": 4, "ffn_dim": 48, "dropout": 0.0,
          "use_weight_tying": True, "cls_head_num_classes_list": [3, 2], "cls_drop_out_list": [0.0, 0.0],
          "cls_query_num_list": [4, 2], "use_cross_attention": True, "mode": "only_report", "use_deepstack": True,
          "use_gate": False, "visual_token_length_source_stage": -1, "layers_per_stage": 1}
SIZES = [[4, 3, 4], [4, 3, 4], [4, 3, 4], [2, 3, 2]]


def randomised(arguments: dict) -> UVLM:
    """The model with every tensor random, norms included, so that nothing is hidden by ones and zeros."""
    torch.manual_seed(7)
    model = UVLM(reference_config(arguments, 50, 48, 49)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.2 if parameter.ndim > 1 else 0.3))
            if parameter.ndim == 1:
                parameter += 0.5
    return model


@needs_fixtures
@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_fixture_is_reproduced(folder):
    rows = verify_fixture(folder)
    assert all(row.ok for row in rows), format_rows(rows)
    assert len(rows) > 20


@needs_fixtures
@pytest.mark.parametrize("file, key", [("outputs.npz", "text_logits"), ("outputs.npz", "greedy_ids"),
                                       ("extra.json", "report_loss"), ("extra.json", "grad_norms")])
def test_a_wrong_expectation_is_noticed(tmp_path, file, key):
    folder = tmp_path / "fixture"
    shutil.copytree(FIXTURES / "report_ds_src-1_lps1", folder)
    if file == "extra.json":
        extra = json.loads((folder / file).read_text())
        if key == "grad_norms":
            extra[key]["encoder.stem.convs.0.norm.weight"] *= 1.01
        else:
            extra[key] *= 1.001
        (folder / file).write_text(json.dumps(extra))
    else:
        arrays = dict(np.load(folder / file))
        if key == "greedy_ids":
            arrays[key][-1] += 1
        else:
            arrays[key][0, 3, 5] += 0.01
        np.savez(folder / file, **arrays)
    rows = verify_fixture(folder)
    wrong = [row.name for row in rows if not row.ok]
    assert len(wrong) == 1 and key.split("_")[0] in wrong[0]
    assert "beyond" in format_rows(rows)


@needs_fixtures
def test_damaged_weights_are_refused(tmp_path):
    folder = tmp_path / "fixture"
    shutil.copytree(FIXTURES / "cls_xattn", folder)
    tensors = load_file(folder / "weights.safetensors")
    tensors.pop("encoder.stem.convs.0.conv.weight")
    save_file(tensors, folder / "weights.safetensors")
    with pytest.raises(BundleError, match=r"missing encoder\.stem\.convs\.0\.conv\.weight"):
        verify_fixture(folder)
    (folder / "weights.safetensors").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"weights\.safetensors"):
        verify_fixture(folder)
    (folder / "inputs.npz").unlink()
    with pytest.raises(BundleError, match=r"inputs\.npz missing"):
        verify_fixture(folder)


@pytest.mark.parametrize("fusion", ["add", "concat"])
def test_segmentation_like_the_released_code(fusion):
    arguments = {"kind": "ResEncoderUNet", "encoder": ENCODER, "num_classes": 4, "skip_fusion_mode": fusion,
                 "n_conv_per_stage_decoder": [1, 2, 1], "deep_supervision": True}
    model = randomised(arguments)
    image = torch.randn(2, 1, 16, 24, 16)
    oracle = Released(arguments, reference_state(model))
    with torch.no_grad():
        stages, expected = model.encode(image), oracle.segment(oracle.encode(image))
        for found, wanted in zip(model.segment(stages, deep_supervision=True), expected, strict=True):
            assert torch.allclose(found, wanted, atol=2e-4, rtol=1e-4)
        assert torch.equal(model.segment(stages), model.segment(stages, deep_supervision=True)[0])


@pytest.mark.parametrize("attention", [True, False], ids=["class_query", "gap"])
def test_classification_like_the_released_code(attention):
    arguments = {**REPORT, "mode": "only_cls", "use_cross_attention": attention}
    model = randomised(arguments)
    image = torch.randn(2, 1, 16, 16, 24)
    oracle = Released(arguments, reference_state(model))
    with torch.no_grad():
        found = model.classify(model.encode(image)).split([3, 2], 1)
        for logits, wanted in zip(found, oracle.classify(oracle.encode(image)), strict=True):
            assert torch.allclose(logits, wanted, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize("changes", [
    pytest.param({"use_deepstack": False, "visual_token_length_source_stage": -2}, id="plain, source -2"),
    pytest.param({"use_deepstack": False, "layers_per_stage": 3, "deepstack_skip_stages": 1}, id="plain, 3 layers"),
    pytest.param({"mode": "both", "use_gate": True, "visual_token_length_source_stage": -2, "layers_per_stage": 2,
                  "deepstack_skip_stages": 1, "pool_output_size": [4, 3, 4],
                  "pool_output_size_list": [[4, 3, 4], [4, 3, 4], None, None]}, id="both, gate, skip, source -2"),
    pytest.param({"use_adaptive_pool": False, "deepstack_skip_stages": 1, "pool_output_size": [2, 2, 2],
                  "patch_kernel_sizes": [[4, 8, 8], [2, 4, 4], [2, 2, 2], [1, 1, 1]], "use_weight_tying": False},
                 id="PatchEmbed, untied"),
    pytest.param({"use_adaptive_pool": False, "pool_output_size": [2, 2, 2], "use_gate": True,
                  "patch_kernel_sizes": [[5, 7, 7], [3, 4, 4], [2, 2, 2], [1, 1, 1]]}, id="PatchEmbed with padding"),
    pytest.param({"pool_output_size_list": SIZES, "visual_token_length_source_stage": 1}, id="source stage 1"),
    pytest.param({"use_stages": [1, 3], "pool_output_size": [2, 3, 2]}, id="two stages"),
    pytest.param({"use_stages": [0, 3], "pool_output_size": [2, 3, 2], "visual_token_length_source_stage": -2},
                 id="source stage not projected"),
])
def test_report_like_the_released_code(changes):
    arguments = {**copy.deepcopy(REPORT), **changes}
    model = randomised(arguments)
    oracle = Released(arguments, reference_state(model))
    image = torch.randn(2, 1, 8, 24, 16)
    ids = torch.randint(0, 48, (2, 7))
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    with torch.no_grad():
        stages = model.encode(image)
        vision = model.vision(stages)
        main, injected = oracle.vision(oracle.encode(image))
        assert torch.allclose(vision.main, main, atol=1e-4, rtol=1e-4)
        for found, wanted in zip(vision.injected, injected, strict=True):
            assert torch.allclose(found, wanted, atol=1e-4, rtol=1e-4)
        found = model.language(vision, ids, mask, every_position=True)
        assert torch.allclose(found, oracle.text(main, injected, ids, mask, 48, 49), atol=2e-3)
        if arguments["mode"] == "both":
            for logits, wanted in zip(model.classify(stages).split([3, 2], 1), oracle.classify(stages), strict=True):
                assert torch.allclose(logits, wanted, atol=2e-4, rtol=1e-4)


def test_greedy_ids_like_the_released_full_forward():
    arguments = {**REPORT, "use_gate": True, "layers_per_stage": 2, "pool_output_size": [2, 3, 2],
                 "use_weight_tying": False}
    model = randomised(arguments)
    with torch.no_grad():
        for name, parameter in model.language.named_parameters():
            if parameter.ndim == 2:  # the text shall depend on what stands before it
                parameter.mul_(3)
            elif name.endswith("norm.bias"):
                parameter.zero_()
    oracle = Released(arguments, reference_state(model))
    with torch.no_grad():
        image = torch.randn(1, 1, 8, 24, 16)
        main, injected = oracle.vision(oracle.encode(image))
        ids = [5, 9, 11]
        for _ in range(12):
            row = torch.tensor([ids])
            ids.append(int(oracle.text(main, injected, row, torch.ones_like(row), 48, 49)[0, -1].argmax()))
        found = [token.id for token in generate(model, model.vision(model.encode(image)), ids[:3], 12)]
    assert found == ids[3:] and len(set(found)) > 2


def test_a_released_state_loads_with_and_without_aliases_and_strictly():
    model = randomised({**REPORT, "mode": "both", "pool_output_size": [2, 3, 2]})
    plain = {name: tensor.clone() for name, tensor in reference_state(model).items()}
    aliases = reference_aliases(model)
    expanded = {**plain, **{other: plain[name] for other, name in aliases.items()}}
    for state in (plain, expanded, {f"module._orig_mod.{name}": tensor for name, tensor in expanded.items()}):
        other = UVLM(model.config)
        load_reference_state(other, state)
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    other = next(iter(aliases))
    with pytest.raises(BundleError, match="differs from"):
        load_reference_state(model, {**plain, other: plain[aliases[other]] + 1})
    with pytest.raises(BundleError, match="unknown stray"):
        load_reference_state(model, {**plain, "stray": torch.zeros(1)})
    name = "llm_report_gen.llm_model.layers.0.k_proj.weight"
    with pytest.raises(BundleError, match=r"k_proj.weight has shape \(2, 2\), expected \(32, 32\)"):
        load_reference_state(model, {**plain, name: torch.zeros(2, 2)})


def test_unknown_and_unsupported_arguments_are_named():
    with pytest.raises(RecipeError, match="use_magic"):
        reference_config({**REPORT, "use_magic": 1})
    with pytest.raises(RecipeError, match="nonlin_kwargs"):
        reference_config({**REPORT, "encoder": {**ENCODER, "nonlin_kwargs": {"negative_slope": 0.2}}})
    with pytest.raises(RecipeError, match="lacks strides"):
        reference_config({**REPORT, "encoder": {name: value for name, value in ENCODER.items() if name != "strides"}})
