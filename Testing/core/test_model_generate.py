"""Generation: the cache changes nothing, sampling is what it says, attention is folded back to millimetres."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from uvlm_core.errors import Cancelled
from uvlm_core.model.attribution import attention_peak, fold_attention, token_ijk_to_ras
from uvlm_core.model.config import EncoderConfig, InjectionConfig, LanguageConfig, ModelConfig, preset
from uvlm_core.model.generate import generate, generate_batch, next_token_distribution
from uvlm_core.model.injection import collate_stage_tokens
from uvlm_core.model.uvlm import UVLM

REFERENCE = os.environ.get("UVLM_REFERENCE")


@pytest.fixture(scope="module")
def model() -> UVLM:
    torch.manual_seed(5)
    encoder = EncoderConfig(features=(4, 8, 8), blocks=(1, 1, 1), strides=(1, 2, 2), kernels=(3, 3, 3))
    network = UVLM(ModelConfig(
        name="small", grid=preset("demo").grid, encoder=encoder,
        injection=InjectionConfig(stages=(1, 2), source=2, layers_per_stage=2, gate=True),
        language=LanguageConfig(vocabulary=60, width=48, n_heads=4, ffn=64, layers=4, tied=False))).eval()
    with torch.no_grad():
        for parameter in network.language.parameters():
            if parameter.ndim == 2:  # large weights: the text shall depend on what stands before it
                parameter.copy_(torch.randn_like(parameter) * 0.5)
    return network


def tokens_of(model, size, seed):
    image = torch.randn(1, 1, *size, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        return model.vision_tokens_to_cache(model.encode(image))


@pytest.fixture(scope="module")
def vision(model):
    with torch.no_grad():
        return model.vision_from_cached(tokens_of(model, (8, 12, 8), 0))


def test_cached_and_uncached_decoding_give_the_same_ids(model, vision):
    found = list(generate(model, vision, [5, 6, 7], 40))
    ids = [5, 6, 7]
    with torch.no_grad():
        for token in found:
            logits = model.language(vision, torch.tensor([ids]))[0, -1]
            assert int(logits.argmax()) == token.id
            assert float(logits.log_softmax(0)[token.id]) == pytest.approx(token.logprob, abs=1e-4)
            ids.append(token.id)
    assert len(set(ids)) > 8  # a decoder that repeats one token would prove little


def test_attention_belongs_to_the_token_that_it_chose(model, vision):
    found = list(generate(model, vision, [5, 6], 6, want_attention=True))
    plain = list(generate(model, vision, [5, 6], 6))
    assert [token.id for token in found] == [token.id for token in plain] and plain[0].attention is None
    attention = torch.stack([token.attention for token in found])
    assert attention.shape == (6, 2, len(vision)) and (attention >= 0).all() and (attention.sum(2) < 1).all()
    with torch.no_grad():  # the same step by hand, without the cache, for the first layers' group
        language, ids = model.language, torch.tensor([[5, 6, found[0].id, found[1].id]])
        x = language.embed(vision, ids)
        place = torch.arange(x.shape[1])[None]
        tables, mask = language._tables(place), language._mask(vision, x.shape[1], None)
        rows = []
        for number in range(2):
            x, weights = language.layers[number](x, tables, mask, language.injected_at(number, vision), None, True)
            rows.append(weights[0, :, 1 : 1 + len(vision)].mean(0))
    assert torch.allclose(torch.stack(rows).mean(0), attention[2, 0], atol=1e-5)


def test_a_batch_of_different_scans_and_prompts_equals_each_alone(model):
    cases = [tokens_of(model, size, seed) for seed, size in enumerate([(8, 8, 8), (16, 8, 12), (8, 16, 8)])]
    prompts = [[5], [6, 7, 8, 9], [10, 11]]
    with torch.no_grad():
        alone = [[token.id for token in generate(model, model.vision_from_cached(case), prompt, 15)]
                 for case, prompt in zip(cases, prompts, strict=True)]
        batch = generate_batch(model, model.vision_from_cached(collate_stage_tokens(cases)), prompts, 15)
    assert batch == alone
    stop = alone[1][4]
    short = generate_batch(model, model.vision_from_cached(collate_stage_tokens(cases)), prompts, 15, stop=[stop])
    assert short[1] == alone[1][: alone[1].index(stop)]


def test_it_stops_streams_and_can_be_cancelled(model, vision):
    ids = [token.id for token in generate(model, vision, [5], 12)]
    stop = ids[3]
    stopped = [token.id for token in generate(model, vision, [5], 12, stop={stop})]
    assert stopped == ids[: ids.index(stop) + 1]
    seen = []
    with pytest.raises(Cancelled, match="after 3 tokens"):
        for token in generate(model, vision, [5], 12, cancel=lambda: len(seen) >= 3):
            seen.append(token.id)
    assert seen == ids[:3]


def test_sampling_is_repeatable_and_follows_its_seed(model, vision):
    def sample(seed):
        return [token.id for token in generate(model, vision, [5], 20, temperature=1.5, top_k=20, seed=seed)]

    assert sample(1) == sample(1) != sample(2)
    greedy = [token.id for token in generate(model, vision, [5], 20)]
    assert [token.id for token in generate(model, vision, [5], 20, temperature=1.0, top_k=1)] == greedy


@pytest.mark.skipif(not REFERENCE, reason="UVLM_REFERENCE is not set")
def test_distribution_like_the_released_sampler():
    unit = np.load(Path(REFERENCE) / "fixtures" / "units" / "sampler.npz")
    logits = torch.from_numpy(unit["logits"])
    for row, (temperature, top_p, top_k) in enumerate(zip(unit["temperature"], unit["top_p"], unit["top_k"],
                                                          strict=True)):
        found = next_token_distribution(logits, float(temperature), int(top_k), float(top_p)).numpy()
        assert np.allclose(found, unit["probs"][row], atol=1e-5), row


def test_attention_folds_to_the_place_it_came_from():
    grid, stride = (2, 3, 4), (16, 16, 8)
    attention = np.full((5, 2, 24), 0.01, np.float32)
    attention[:, :, 0] = 0.5  # a token that everything looks at
    attention[2:4, :, 1 * 12 + 2 * 4 + 3] = 0.2
    volume = fold_attention(attention, grid, slice(2, 4))
    assert volume.shape == (2, 2, 3, 4)
    assert np.unravel_index(volume[0].argmax(), grid) == (1, 2, 3)
    assert np.unravel_index(fold_attention(attention, grid, contrast=False)[0].argmax(), grid) == (0, 0, 0)
    ijk_to_ras = np.array([[-3.0, 0, 0, 90], [0, -3, 0, 60], [0, 0, 3, -200], [0, 0, 0, 1]])
    # centres of the token's voxels: x 24..31, y 32..47, z 16..31
    expected = (90 - 3 * 27.5, 60 - 3 * 39.5, -200 + 3 * 23.5)
    assert attention_peak(volume, ijk_to_ras, stride) == pytest.approx(expected)
    assert np.allclose(token_ijk_to_ras(ijk_to_ras, (1, 1, 1)), ijk_to_ras)
    with pytest.raises(ValueError, match="empty"):
        fold_attention(attention, grid, slice(5, 9))
    with pytest.raises(ValueError, match="for the grid"):
        fold_attention(attention, (2, 2, 2))
