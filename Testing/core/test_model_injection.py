"""Vision tokens: token p is the same place at every layer, in millimetres, for any size of the scan."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from uvlm_core.errors import VolumeError
from uvlm_core.model.config import EncoderConfig, InjectionConfig
from uvlm_core.model.injection import (
    Injection,
    StageTokens,
    align_to_grid,
    collate_stage_tokens,
    flatten_grid,
    sinusoids,
    token_mask,
    token_positions,
)

REFERENCE = os.environ.get("UVLM_REFERENCE")
ENCODER = EncoderConfig(features=(4, 6, 8), blocks=(1, 1, 1), strides=(1, 2, 2), kernels=(3, 3, 3))


def spot(size, place):
    feature = torch.zeros(1, 2, *size)
    feature[(0, slice(None), *place)] = 1.0
    return feature


@pytest.mark.parametrize("maximum", [False, True])
def test_a_spot_lands_in_the_same_token_from_every_stage(maximum):
    grid = (3, 4, 5)
    fine, same = spot((12, 16, 20), (9, 2, 17)), spot(grid, (2, 0, 4))
    tokens = [align_to_grid(feature, grid, maximum) for feature in (fine, same)]
    assert [int(token[0, :, 0].argmax()) for token in tokens] == [2 * 20 + 0 * 5 + 4] * 2
    assert tokens[0].shape == (1, 60, 4 if maximum else 2)
    assert tokens[0][0, :, 0].max() == pytest.approx(1 / 64)
    if maximum:  # a lesion of one voxel is still seen
        assert tokens[0][0, :, 2].max() == 1


def test_a_deeper_stage_is_interpolated_between_cell_centres():
    ramp = torch.arange(4.0).reshape(1, 1, 1, 1, 4).expand(1, 1, 4, 4, 4)
    tokens = align_to_grid(ramp, (8, 8, 8), False).reshape(8, 8, 8)
    assert torch.allclose(tokens[3, 3], torch.tensor([0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]))


def test_a_stage_that_does_not_divide_is_refused():
    with pytest.raises(VolumeError, match="does not divide"):
        align_to_grid(torch.zeros(1, 1, 5, 4, 4), (2, 2, 2), False)


def test_positions_are_millimetres_from_the_centre():
    grids = torch.tensor([[3, 2, 1], [1, 2, 2]])
    place = token_positions(grids, 6, (48.0, 48.0, 24.0))
    assert place[0, 0].tolist() == [-48, -24, 0] and place[0, 5].tolist() == [48, 24, 0]
    assert place[1, 3].tolist() == [0, 24, 12] and place[1, 5].tolist() == [0, 0, 0]  # the last is padding
    assert token_mask(grids, 6).tolist() == [[True] * 6, [True] * 4 + [False] * 2]
    assert token_mask(grids[:1], 6) is None


def test_sinusoids_tell_neighbours_apart_and_repeat_only_beyond_the_body():
    line = torch.zeros(60, 3)
    line[:, 0] = torch.arange(60) * 24.0  # 1.4 m
    table = sinusoids(line, 128, shortest=96)
    distance = torch.cdist(table, table) + 100 * torch.eye(60)
    assert table.shape == (60, 128) and distance.min() > 0.5


@pytest.mark.parametrize("pool", ["mean", "mean_max"])
def test_padding_of_a_smaller_case_changes_nothing(pool):
    torch.manual_seed(0)
    config = InjectionConfig(stages=(0, 1, 2), source=2, layers_per_stage=1, pool=pool)
    injection = Injection(ENCODER, config, 24, (3.0, 3.0, 3.0)).eval()
    cases = []
    for size in ((8, 8, 12), (12, 16, 8)):
        cases.append([torch.randn(1, c, *(extent // 2**s for extent in size))
                      for s, c in enumerate(ENCODER.features)])
    with torch.no_grad():
        alone = [injection(features) for features in cases]
        batch = injection.project(collate_stage_tokens([injection.stage_tokens(features) for features in cases]))
    assert batch.mask.sum(1).tolist() == [12, 24] and len(batch.injected) == 3
    assert alone[0].mask is None and alone[0].grid == (2, 2, 3)
    for row, single in enumerate(alone):
        n = len(single)
        assert torch.allclose(batch.main[row, :n], single.main[0], atol=1e-6)
        for a, b in zip(batch.injected, single.injected, strict=True):
            assert torch.allclose(a[row, :n], b[0], atol=1e-6)


def test_without_multiple_layers_only_the_source_stage_is_used():
    config = InjectionConfig(stages=(0, 1, 2), source=1, multi_layer=False)
    injection = Injection(ENCODER, config, 24, (1.0, 1.0, 1.0))
    vision = injection([torch.randn(1, c, *(8 // 2**s,) * 3) for s, c in enumerate(ENCODER.features)])
    assert vision.injected == [] and vision.main.shape == (1, 64, 24)
    assert isinstance(injection.stage_tokens([torch.randn(1, c, *(8 // 2**s,) * 3)
                                              for s, c in enumerate(ENCODER.features)]), StageTokens)


@pytest.mark.skipif(not REFERENCE, reason="UVLM_REFERENCE is not set")
def test_adaptive_pooling_like_the_released_code():
    unit = np.load(Path(REFERENCE) / "fixtures" / "units" / "adaptive_pool.npz")
    size = tuple(int(extent) for extent in unit["size"])
    found = flatten_grid(functional.adaptive_avg_pool3d(torch.from_numpy(unit["x"]), size))
    assert np.allclose(found.numpy(), unit["out"], atol=1e-6)
