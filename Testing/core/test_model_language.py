"""The language decoder: who sees whom, positions, injection, padding."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from uvlm_core.model.config import LanguageConfig
from uvlm_core.model.injection import VisionTokens
from uvlm_core.model.language import LanguageDecoder, apply_rotary, attention_mask, rotary_tables

REFERENCE = os.environ.get("UVLM_REFERENCE")
needs_reference = pytest.mark.skipif(not REFERENCE, reason="UVLM_REFERENCE is not set")
CONFIG = LanguageConfig(vocabulary=40, width=32, n_heads=4, ffn=48, layers=4)


def decoder(**changes) -> LanguageDecoder:
    torch.manual_seed(3)
    model = LanguageDecoder(LanguageConfig(**{**CONFIG.__dict__, **changes}), layers_per_group=2, gate=False).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.2 + (parameter.ndim == 1))
    return model


def vision(count=6, batch=1, seed=0, width=32) -> VisionTokens:
    random = torch.Generator().manual_seed(seed)
    rows = [torch.randn(batch, count, width, generator=random) for _ in range(3)]
    return VisionTokens(rows[0], rows[1:], torch.tensor([[1, 1, count]] * batch))


@needs_reference
def test_released_positions_and_mask():
    unit = np.load(Path(REFERENCE) / "fixtures" / "units" / "rope.npz")
    tables = rotary_tables(torch.arange(24), 16, "reference")
    for name in ("q", "k"):
        found = apply_rotary(torch.from_numpy(unit[name]), tables)
        assert np.allclose(found.numpy(), unit[f"{name}_out"], atol=1e-5)
    unit = np.load(Path(REFERENCE) / "fixtures" / "units" / "mask.npz")
    found = attention_mask(int(unit["seq_len"]), int(unit["vision_len"]), "reference")
    assert np.array_equal(found.numpy(), unit["allowed"])


def test_native_positions_are_a_rotation():
    """Lengths stay, and a score depends only on the distance of two tokens."""
    torch.manual_seed(0)
    q, k = torch.randn(2, 1, 1, 1, 16)
    turned = [apply_rotary(x.expand(1, 1, 50, 16), rotary_tables(torch.arange(50), 16)) for x in (q, k)]
    assert torch.allclose(turned[0].norm(dim=-1), q.norm().expand(1, 1, 50), atol=1e-4)
    scores = (turned[0] @ turned[1].transpose(2, 3))[0, 0]
    for distance in (-7, 0, 12):
        diagonal = scores.diagonal(distance)
        assert torch.allclose(diagonal, diagonal[0].expand_as(diagonal), atol=1e-4)
    crooked = apply_rotary(q.expand(1, 1, 50, 16), rotary_tables(torch.arange(50), 16, "reference"))
    assert not torch.allclose(crooked.norm(dim=-1), q.norm().expand(1, 1, 50), atol=1e-2)


def test_the_exact_mask_opens_the_whole_vision_block_and_nothing_else():
    allowed = attention_mask(9, 4)
    assert allowed[:6, :6].all()  # start, 4 tokens, end
    assert not allowed[:6, 6:].any()
    assert allowed[6:, :7].all() and allowed[6:].equal(torch.ones(9, 9, dtype=torch.bool).tril()[6:])


def test_text_sees_no_future_and_every_vision_token():
    model, ids = decoder(), torch.tensor([[3, 4, 5, 6, 7]])
    with torch.no_grad():
        base = model(vision(), ids)
        changed = model(vision(), torch.tensor([[3, 4, 5, 9, 7]]))
        assert torch.allclose(base[:, :3], changed[:, :3], atol=1e-6)
        assert not torch.allclose(base[:, 3:], changed[:, 3:], atol=1e-3)
        for token in range(6):
            other = vision()
            other.main[:, token] += torch.randn(32, generator=torch.Generator().manual_seed(1))
            assert not torch.allclose(model(other, ids)[:, 0], base[:, 0], atol=1e-4)


def test_each_group_of_layers_receives_its_own_stage():
    model, ids = decoder(), torch.tensor([[3, 4]])
    tokens = vision()
    assert [model.injected_at(layer, tokens) is tokens.injected[layer // 2] for layer in range(4)] == [True] * 4
    with torch.no_grad():
        base = model(tokens, ids)
        for group in range(2):
            other = vision()
            other.injected[group].zero_()
            assert not torch.allclose(model(other, ids), base, atol=1e-4)


def test_a_closed_gate_keeps_the_injection_out():
    torch.manual_seed(0)
    model = LanguageDecoder(CONFIG, 2, gate=True).eval()
    ids = torch.tensor([[3, 4]])
    with torch.no_grad():
        for layer in model.layers:
            layer.gate[2].weight.zero_()
            layer.gate[2].bias.fill_(-50)
        plain = VisionTokens(vision().main, [], vision().grids)
        assert torch.allclose(model(vision(), ids), model(plain, ids), atol=1e-6)
        for layer in model.layers:
            layer.gate[2].bias.fill_(50)
        assert not torch.allclose(model(vision(), ids), model(plain, ids), atol=1e-3)


def test_padding_of_text_and_of_vision_changes_nothing():
    model = decoder()
    small, large = vision(4, seed=1), vision(6, seed=2)
    ids = [torch.tensor([[3, 4, 5, 6]]), torch.tensor([[7, 8]])]

    def pad(rows):
        return torch.cat([torch.cat((r, torch.full((1, 6 - r.shape[1], 32), 9.0)), 1) for r in rows])

    both = VisionTokens(pad([small.main, large.main]),
                        [pad(rows) for rows in zip(small.injected, large.injected, strict=True)],
                        torch.tensor([[1, 1, 4], [1, 1, 6]]), torch.tensor([[1] * 4 + [0] * 2, [1] * 6]).bool())
    text, mask = torch.tensor([[3, 4, 5, 6], [7, 8, 0, 0]]), torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])
    with torch.no_grad():
        found = model(both, text, mask)
        assert torch.allclose(found[0], model(small, ids[0])[0], atol=1e-5)
        assert torch.allclose(found[1, :2], model(large, ids[1])[0], atol=1e-5)


def test_an_untied_head_is_its_own_matrix():
    tied, untied = decoder(), decoder(tied=False)
    assert sum(p.numel() for p in untied.parameters()) - sum(p.numel() for p in tied.parameters()) == 40 * 32
