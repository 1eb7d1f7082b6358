"""The fast bf16 form computes what the trained modules compute, up to bf16 rounding."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uvlm_core.errors import VolumeError
from uvlm_core.model.config import EncoderConfig, preset
from uvlm_core.model.fixed_norm import fix_norms
from uvlm_core.model.inference_form import inference_form
from uvlm_core.model.uvlm import UVLM


@pytest.fixture(scope="module", params=[("add", "instance"), ("concat", "instance"), ("add", "fixed")])
def model(request) -> UVLM:
    torch.manual_seed(1)
    demo = preset("demo")
    encoder = EncoderConfig(features=(8, 8, 16, 16, 16), blocks=(1, 2, 1, 1, 1), strides=(1, (1, 2, 2), 2, 2, 2),
                            kernels=(3, (1, 3, 3), 3, 3, 3))
    fusion, norm = request.param
    model = UVLM(replace(demo, encoder=encoder, segmenter=replace(demo.segmenter, fusion=fusion))).eval()
    if norm == "fixed":
        fix_norms(model, [torch.randn(1, 1, 16, 32, 48)])
    return model


@torch.inference_mode()
def test_masks_findings_and_tokens_agree(model):
    image = torch.randn(1, 1, 16, 32, 48)
    fast = inference_form(model)
    features, quick = model.encode(image), fast.encode(image)
    for exact, rounded in zip(features, quick, strict=True):
        assert rounded.dtype == torch.bfloat16
        assert (rounded.float() - exact).norm() < 0.03 * exact.norm()
    logits, rounded = model.segment(features), fast.segment(quick)
    assert (rounded.float() - logits).norm() < 0.06 * logits.norm()
    top = logits.topk(2, 1).values[:, 0] - logits.topk(2, 1).values[:, 1]
    clear = top > 0.2
    assert (logits.argmax(1) == rounded.argmax(1))[clear].all() and clear.float().mean() > 0.5
    assert torch.allclose(model.classify(features, logits), fast.classify(quick, rounded), atol=0.05)
    exact, rounded = model.vision(features), fast.vision(quick)
    assert rounded.main.dtype == torch.float32
    assert (exact.main - rounded.main).norm() < 0.06 * exact.main.norm()
    assert len(fast.segment(quick, deep_supervision=True)) == 4


@torch.inference_mode()
def test_two_runs_give_the_same_bytes(model):
    image, fast = torch.randn(1, 1, 16, 32, 32), inference_form(model)
    assert torch.equal(fast.segment(fast.encode(image)), fast.segment(fast.encode(image)))


def test_the_original_is_left_as_it_was(model):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    fast = inference_form(model)
    assert fast.language is model.language and fast.encoder is not model.encoder
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())
    with pytest.raises(VolumeError, match="multiple of"):
        fast.encode(torch.randn(1, 1, 15, 32, 32))
