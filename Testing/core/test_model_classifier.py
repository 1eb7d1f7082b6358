"""Finding probabilities: what the masks say is measured right, and padding or caching changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from uvlm_core.model.classifier import EVIDENCE_SCALE
from uvlm_core.model.config import ModelConfig, preset
from uvlm_core.model.injection import collate_stage_tokens
from uvlm_core.model.mask_evidence import evidence_labels, mask_evidence
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.building import load_weights


@pytest.fixture(scope="module")
def config() -> ModelConfig:
    demo = preset("demo")
    encoder = replace(demo.encoder, features=(4, 6, 8, 8, 8), blocks=(1,) * 5)
    return replace(demo, encoder=encoder, classifier=replace(demo.classifier, width=24), language=None)


def logits_of(config: ModelConfig, boxes: dict[str, tuple], size=(16, 32, 64)) -> torch.Tensor:
    """Logits that are sure of `boxes` (slices z, y, x per label) and of background elsewhere."""
    label_map = torch.zeros(size, dtype=torch.long)
    for name, (z, y, x) in boxes.items():
        label_map[slice(*z), slice(*y), slice(*x)] = config.labels.index(name)
    return torch.nn.functional.one_hot(label_map, len(config.labels)).movedim(-1, 0)[None].float() * 20


def test_volume_and_confidence_of_a_mask(config):
    logits = logits_of(config, {"lung_nodule": ((2, 6), (3, 8), (10, 20))})
    found = mask_evidence(logits, config)[0]
    row = found[config.findings.index("Lung nodule")]
    assert row[0].expm1() == pytest.approx(4 * 5 * 10 * 0.027, rel=1e-4)  # 27 mm3 per voxel
    assert row[1] > 0.99 and row[2] > 0.99
    other = found[config.findings.index("Pleural effusion")]
    assert other.abs().max() < 1e-3
    assert found[config.findings.index("Bronchiectasis")].abs().max() == 0  # no mask shows it


def test_a_faint_mask_leaves_a_trace_without_volume(config):
    logits = logits_of(config, {})
    logits[0, config.labels.index("consolidation"), 3, 4, 5:15] = 19.0  # probability 0.27 in ten voxels
    row = mask_evidence(logits, config)[0, config.findings.index("Consolidation")]
    assert row[0] == 0 and row[1] == pytest.approx(0.269, abs=1e-2) and row[2] == pytest.approx(2.69 / 64, abs=1e-2)


def test_heart_against_lungs(config):
    boxes = {"lung_lower_lobe_right": ((0, 16), (0, 32), (4, 24)), "lung_upper_lobe_left": ((0, 16), (0, 32), (40, 60)),
             "heart": ((4, 12), (8, 24), (24, 44))}
    row = mask_evidence(logits_of(config, boxes), config)[0, config.findings.index("Cardiomegaly")]
    lungs = 16 * 32 * 20 + 16 * 32 * 20 - 8 * 16 * 4  # the heart's box covers some of the left lung
    assert row[3] == pytest.approx(8 * 16 * 20 / lungs, rel=1e-3)
    assert row[4] == pytest.approx(20 / 56, rel=1e-3)
    assert mask_evidence(logits_of(config, {}), config).abs().max() < 0.05  # nothing imaged: no division by zero


def test_the_surest_part_of_a_mask_and_not_its_specks(config):
    config = replace(config, classifier=replace(config.classifier, part_evidence=True))
    nodule = config.labels.index("lung_nodule")
    logits = logits_of(config, {"lung_nodule": ((2, 4), (3, 7), (10, 14))})  # 32 voxels, 0.86 ml
    logits[0, nodule, 10, 10, 30:32] = 40.0  # two voxels: a speck, however sure
    row = mask_evidence(logits, config)[0, config.findings.index("Lung nodule")]
    assert row[5] == pytest.approx(1, abs=1e-3) and row[6].expm1() == pytest.approx(32 * 0.027, rel=1e-4)
    logits[0, nodule, 2:4, 3:7, 10:14] = 1.0
    logits[0, 0, 2:4, 3:7, 10:14] = 0.0
    rest = len(config.labels) - 1
    mean = 2.7183 / (2.7183 + rest)
    assert mean < 0.6  # many labels share what is left
    assert mask_evidence(logits, config)[0, config.findings.index("Lung nodule"), 5:].abs().max() == 0
    logits[0, nodule, 2:4, 3:7, 10:14] = 5.0
    sure = 148.41 / (148.41 + rest)
    row = mask_evidence(logits, config)[0, config.findings.index("Lung nodule")]
    assert row[5] == pytest.approx((sure - 0.6) / 0.4, abs=1e-3)


def test_a_head_that_knew_no_parts_goes_on_as_it_was(config, tmp_path):
    torch.manual_seed(0)
    old = UVLM(config).eval()
    save_file(old.state_dict(), tmp_path / "old.safetensors")
    new = UVLM(replace(config, classifier=replace(config.classifier, part_evidence=True))).eval()
    load_weights(new, tmp_path / "old.safetensors")
    image = torch.randn(1, 1, 16, 32, 32)
    with torch.no_grad():
        assert torch.allclose(old.classify(old.encode(image)), new.classify(new.encode(image)), atol=1e-6)


def test_every_finding_with_a_mask_has_its_channel(config):
    channels = dict(zip(config.findings, evidence_labels(config), strict=True))
    assert config.labels[channels["Pericardial effusion"]] == "pericardial_effusion"
    assert config.labels[channels["Cardiomegaly"]] == "heart"
    assert channels["Bronchiectasis"] is None


def test_cached_and_padded_cases_give_the_same_logits(config):
    torch.manual_seed(0)
    model = UVLM(config).eval()
    with torch.no_grad():
        features = [model.encode(torch.randn(1, 1, *size)) for size in ((16, 32, 32), (32, 32, 16))]
        alone = torch.cat([model.classify(case) for case in features])
        masks = [model.segment(case) for case in features]
        assert torch.equal(model.classify(features[0], masks[0]), alone[:1])
        tokens = collate_stage_tokens([model.classifier.pool(case) for case in features])
        evidence = torch.cat([model.classifier.evidence(mask) for mask in masks])
        assert torch.allclose(model.classify_cached(tokens, evidence), alone, atol=1e-5)
    assert alone.shape == (2, len(config.findings))


def test_the_probability_of_a_finding_listens_to_its_mask(config):
    torch.manual_seed(0)
    model = UVLM(config).eval()
    with torch.no_grad():
        row = config.findings.index("Lung nodule")
        model.classifier.weight[row, 24:29] = 1.0
        features = model.encode(torch.randn(1, 1, 16, 32, 64))
        without = model.classify(features, logits_of(config, {}))
        nodule = model.classify(features, logits_of(config, {"lung_nodule": ((2, 6), (3, 8), (10, 20))}))
    assert nodule[0, row] > without[0, row] + 2
    others = [index for index in range(len(config.findings)) if index != row]
    assert torch.allclose(nodule[0, others], without[0, others], atol=1e-3)


def test_hidden_tokens_leave_the_evidence_and_only_while_training(config):
    torch.manual_seed(0)
    head = UVLM(replace(config, classifier=replace(config.classifier, token_dropout=0.9))).classifier
    features = [torch.randn(1, width, 8, 8, 8) for width in config.encoder.features]
    tokens, evidence = head.pool(features), torch.ones(1, len(config.findings), head.weight.shape[1] - 24)
    with torch.no_grad():
        head.bias.fill_(0.25)
        scale = torch.tensor(EVIDENCE_SCALE)
        alone = (head.weight[:, 24:] * scale).sum(1) + 0.25
        hidden = head.train()(tokens, evidence)[0].isclose(alone, atol=1e-5)
        assert 0.6 < hidden.float().mean() < 1
        assert not head.eval()(tokens, evidence)[0].isclose(alone, atol=1e-5).any()


def test_gradients_reach_the_encoder_through_the_tokens(config):
    model = UVLM(config)
    features = model.encode(torch.randn(1, 1, 16, 32, 32))
    model.classify(features, model.segment(features)).sum().backward()
    assert model.encoder.stem.conv.weight.grad.abs().sum() > 0
    assert model.segmenter.classify[0].weight.grad is None  # the masks' evidence carries none
