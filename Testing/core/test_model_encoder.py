"""Encoder and segmenter: shapes, sizes that cannot work, gradients."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from uvlm_core.errors import RecipeError, VolumeError
from uvlm_core.model.config import EncoderConfig, ModelConfig, SegmenterConfig, preset
from uvlm_core.model.encoder import ResidualEncoder
from uvlm_core.model.segmenter import Segmenter
from uvlm_core.model.uvlm import UVLM

ENCODER = EncoderConfig(features=(4, 8, 8), blocks=(1, 2, 1), strides=(1, (1, 2, 2), 2), kernels=((1, 3, 3), 3, 3))


def test_every_stage_has_its_own_size():
    features = ResidualEncoder(ENCODER)(torch.randn(2, 1, 6, 8, 12))
    assert [tuple(f.shape) for f in features] == [(2, 4, 6, 8, 12), (2, 8, 6, 4, 6), (2, 8, 3, 2, 3)]
    assert ENCODER.total_stride() == (2, 4, 4) and ENCODER.total_stride(1) == (1, 2, 2)


@pytest.mark.parametrize("shape, words", [
    ((1, 1, 7, 8, 12), r"multiple of \(2, 4, 4\)"),
    ((1, 1, 2, 4, 4), "only one cell"),
    ((1, 2, 4, 8, 8), r"expects an image \(B, 1, Z, Y, X\)"),
    ((1, 4, 8, 8), "expects an image"),
])
def test_a_size_that_cannot_work_is_explained(shape, words):
    with pytest.raises(VolumeError, match=words):
        ResidualEncoder(ENCODER)(torch.zeros(shape))


@pytest.mark.parametrize("fusion", ["add", "concat"])
def test_segmenter_gives_full_resolution_and_on_request_all_levels(fusion):
    segmenter = Segmenter(ENCODER, SegmenterConfig(convs=(1, 2), fusion=fusion), 5)
    features = ResidualEncoder(ENCODER)(torch.randn(1, 1, 4, 8, 8))
    levels = segmenter(features, deep_supervision=True)
    assert [tuple(level.shape) for level in levels] == [(1, 5, 4, 8, 8), (1, 5, 4, 4, 4)]
    assert torch.equal(segmenter(features), levels[0])
    levels[0].square().mean().backward()
    assert all(p.grad is not None for name, p in segmenter.named_parameters() if "classify.0" not in name)


def test_a_constant_shift_of_the_image_leaves_no_trace_inside():
    """Instance norm: what counts is contrast, so the same anatomy on another offset gives the same features."""
    torch.manual_seed(0)
    encoder = ResidualEncoder(replace(ENCODER, kernels=((1, 1, 1),) * 3)).eval()
    image = torch.randn(1, 1, 4, 8, 8)
    with torch.no_grad():
        for a, b in zip(encoder(image), encoder(image + 3), strict=True):
            assert torch.allclose(a, b, atol=1e-4)


def test_a_part_that_was_not_built_is_named():
    demo = preset("demo")
    model = UVLM(ModelConfig(name="only masks", grid=demo.grid, encoder=ENCODER, labels=("background", "heart"),
                             segmenter=SegmenterConfig(convs=(1, 1))))
    features = model.encode(torch.randn(1, 1, 4, 8, 8))
    assert model.segment(features).shape == (1, 2, 4, 8, 8)
    with pytest.raises(RecipeError, match="'only masks' was built without a classifier"):
        model.classify(features)
    masks, found, vision = model(torch.randn(1, 1, 4, 8, 8))
    assert masks is not None and found is None and vision is None
