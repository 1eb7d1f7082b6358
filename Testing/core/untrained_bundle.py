"""A small bundle with seeded, untrained weights: everything works, nothing makes sense."""

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


def small_config() -> ModelConfig:
    """The demo preset with fewer features."""
    config = preset("demo")
    encoder = EncoderConfig(**{**vars(config.encoder), "features": (8, 8, 16, 16, 16), "blocks": (1, 1, 1, 1, 1)})
    return replace(config, encoder=encoder)


def write_bundle(folder: Path, seed: int = 0) -> Path:
    """Writes the bundle; its text is a repetition of tokens, because the weights are random."""
    tokenizer = train_tokenizer([TEXT], 320)
    torch.manual_seed(seed)
    model = UVLM(small_config().with_vocabulary(320, VISION_START, VISION_END))
    names = list(model.config.findings)
    info = BundleInfo(name="untrained", version="0", licence="Apache-2.0", intended_use="tests", config={},
                      thresholds={name: 0.5 for name in names}, assessed=names[:-3], training_data="none")
    save_bundle(folder, model, tokenizer.to_json(), "# untrained\n", info)
    return folder
