"""The configuration: presets have the sizes they promise, and every wrong entry is named."""

from __future__ import annotations

import json

import pytest
import torch

from uvlm_core.errors import RecipeError
from uvlm_core.labels import findings, labels
from uvlm_core.model.config import ModelConfig, preset
from uvlm_core.model.uvlm import UVLM


def parameters(config: ModelConfig) -> dict[str, int]:
    with torch.device("meta"):
        model = UVLM(config)
    return {name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()}


@pytest.mark.parametrize("name", ["paper", "base", "demo"])
def test_a_preset_survives_json(name):
    config = preset(name, 1234)
    again = ModelConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    assert config.language.vocabulary == 1234
    assert config.labels == ("background", *(label.name for label in labels()))
    assert config.findings == tuple(finding.name for finding in findings())
    total = config.encoder.total_stride()
    assert all(config.grid.multiple % step == 0 for step in total)


def test_paper_has_the_published_size():
    counts = parameters(preset("paper", 151672))
    assert counts["encoder"] == 90_296_576
    assert counts["language"] == 102_876_160  # "0.1B"


def test_demo_fits_into_15_megabytes_in_16_bit():
    assert sum(parameters(preset("demo", 1000)).values()) <= 6_900_000


@pytest.mark.parametrize("part, entry", [(None, "colour"), ("encoder", "dropout"), ("grid", "spacings"),
                                         ("language", "heads"), ("injection", "gates")])
def test_an_unknown_entry_is_refused_by_name(part, entry):
    values = preset("demo").to_dict()
    (values if part is None else values[part])[entry] = 1
    with pytest.raises(RecipeError, match=entry) as caught:
        ModelConfig.from_dict(values)
    assert part is None or part in str(caught.value)


@pytest.mark.parametrize("part, entry, value, words", [
    ("language", "width", 100, "language.width"),
    ("language", "rope", "none", "rotation, reference"),
    ("language", "vision_end_id", 5000, "vocabulary"),
    ("injection", "source", 9, "injection.source"),
    ("injection", "stages", [3, 2], "rising"),
    ("injection", "align", "zero_pad", "adaptive"),
    ("segmenter", "convs", [1], "one entry per decoder level"),
    ("segmenter", "fusion", "mean", "concat, add"),
    ("encoder", "blocks", [1, 2], "encoder.blocks"),
    ("encoder", "strides", [0, 2, 2, 2, 2], "three positive numbers"),
    ("classifier", "n_heads", 3, "classifier.n_heads"),
])
def test_a_wrong_value_is_explained(part, entry, value, words):
    values = preset("demo").to_dict()
    values[part][entry] = value
    with pytest.raises(RecipeError, match=words):
        ModelConfig.from_dict(values)


def test_missing_entries_and_missing_parts_are_explained():
    values = preset("demo").to_dict()
    del values["encoder"]["features"]
    with pytest.raises(RecipeError, match="features"):
        ModelConfig.from_dict(values)
    values = preset("demo").to_dict()
    values["segmenter"] = None
    with pytest.raises(RecipeError, match="mask_evidence needs a segmenter"):
        ModelConfig.from_dict(values)
    with pytest.raises(RecipeError, match=r"no model preset 'tiny'.*base, demo, paper"):
        preset("tiny")
