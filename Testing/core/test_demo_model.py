"""The model that is shipped: complete, small, honest about itself, and it reads a CT."""

from __future__ import annotations

import numpy as np
import pytest

from uvlm_core.evaluation.masks import dice
from uvlm_core.labels import label_named
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.resources import resource

try:
    BUNDLE = resource("Models", "demo")
except FileNotFoundError:
    pytest.skip("the demo model is not in this checkout", allow_module_level=True)


def test_it_is_unaltered_and_small():
    from uvlm_core.model.bundle import verify_bundle

    info = verify_bundle(BUNDLE)
    assert sum(path.stat().st_size for path in BUNDLE.iterdir()) <= 15e6
    assert "Research" in info.intended_use and info.licence


def test_the_card_tells_every_goal_with_its_figure():
    from uvlm_core.model.bundle import read_info
    from uvlm_core.training.model_card import GOALS

    info, card = read_info(BUNDLE), (BUNDLE / "MODEL_CARD.md").read_text("utf-8")
    for title, key, goal in GOALS:
        value = info.figures[key]
        row = next(line for line in card.splitlines() if line.startswith(f"| {title} |"))
        assert f"{value:.3f}" in row and ("met" if value >= goal else "missed") in row
    for phrase in ("What it cannot do", "Training data", "trained on", info.licence):
        assert phrase in card


def test_it_finds_the_large_organs_on_the_right_side():
    """Far below what the card says: this guards against a broken model, it does not measure it."""
    from concurrent.futures import Future

    from uvlm_core.inference.device import choose
    from uvlm_core.inference.pipeline import analyse_volume
    from uvlm_core.model.bundle import load_bundle

    ready: Future = Future()
    ready.set_result((load_bundle(BUNDLE), choose("cpu", "fp32")))
    case = make_phantom(910001, region="both")
    study = analyse_volume(case.volume, ready)
    ids = [label_named(name).id for name in ("liver", "lung_lower_lobe_left", "lung_lower_lobe_right", "heart")]
    assert np.nanmin(dice(study.labels, case.labels, ids)) > 0.6
    assert study.sentences and all(sentence["text"] for sentence in study.sentences)


def test_cues_steer_the_text_and_can_be_switched_off():
    """The same weights on the same scan: without cues the decoder does not learn what the other heads found."""
    from dataclasses import replace

    from uvlm_core.evaluation.phantom_cases import ready_bundle
    from uvlm_core.inference.pipeline import analyse_volume

    ready = ready_bundle(BUNDLE)
    volume = make_phantom(900025, (64, 88, 88)).volume
    texts = {}
    model = ready.result()[0].model
    config = model.config
    for level in ("measurements", "none"):
        model.config = replace(config, language=replace(config.language, cues=level))
        sections = analyse_volume(volume, ready).content["report"]["sections"]
        texts[level] = [row["text"] for section in sections for row in section["sentences"]]
    assert config.language.cues == "measurements" and all(texts.values())
    assert texts["measurements"] != texts["none"]
