"""A small bundle with seeded, untrained weights: every part runs, nothing makes sense."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from uvlm_core.model.bundle import BundleInfo, save_bundle
from uvlm_core.model.config import EncoderConfig, ModelConfig, preset
from uvlm_core.model.tokenizer import VISION_END, VISION_START, train_tokenizer
from uvlm_core.model.uvlm import UVLM

TEXT = ("Lungs: There is a 12 mm nodule in the left upper lobe. No consolidation.\nPleura: No pleural effusion.\n"
        "Heart and vessels: The heart is not enlarged.\nUpper abdomen: The liver is unremarkable.\n"
        "Impression: Nodule in the left upper lobe.")
NOT_ASSESSED = "Bronchiectasis"


def small_config() -> ModelConfig:
    """The demo preset with fewer features."""
    config = preset("demo")
    encoder = EncoderConfig(**{**vars(config.encoder), "features": (8, 8, 16, 16, 16), "blocks": (1, 1, 1, 1, 1)})
    return replace(config, encoder=encoder)


def write_bundle(folder: Path, seed: int = 0, background: float = 0.0) -> Path:
    """Writes the bundle.

    Args:
        background: added to the background's logit: a high one leaves no mask at all.
    """
    tokenizer = train_tokenizer([TEXT], 320)
    torch.manual_seed(seed)
    model = UVLM(small_config().with_vocabulary(320, VISION_START, VISION_END))
    with torch.no_grad():
        model.segmenter.classify[-1].bias[0] += background
    names = list(model.config.findings)
    info = BundleInfo(name="untrained", version="0", licence="Apache-2.0", intended_use="tests", config={},
                      thresholds=dict.fromkeys(names, 0.5), training_data="none",
                      assessed=[name for name in names if name != NOT_ASSESSED])
    save_bundle(folder, model, tokenizer.to_json(), "# untrained\n", info)
    return folder
