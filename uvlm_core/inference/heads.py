"""One encoder pass, then masks and finding probabilities from the same features, and the tokens for the report."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np

from uvlm_core.inference.cancel_points import cancel_points
from uvlm_core.inference.device import Placement, memory_explained
from uvlm_core.inference.progress import Monitor
from uvlm_core.volumes.grid import GridSample

SLAB = 8  # slices whose probabilities are made at once


@dataclass(frozen=True)
class HeadResults:
    """`scores` (labels, Z, Y, X) float16 probabilities on the model grid, None without a segmenter; `probabilities`
    finding -> 0..1, empty without a classifier; `vision` the tokens for the language decoder, or None."""

    scores: np.ndarray | None
    probabilities: dict[str, float]
    vision: object | None


def run_heads(model, sample: GridSample, placement: Placement, monitor: Monitor) -> HeadResults:
    """Runs encoder, segmenter, classifier and injection on one scan.

    Raises:
        UVLMError: the device is out of memory.
        Cancelled: between any two layers.
    """
    import torch

    scores, probabilities, vision = None, {}, None
    model, autocast = fast_form(model, placement)
    with torch.inference_mode(), memory_explained(placement.device, "model"), cancel_points(monitor):
        with monitor.stage("encode"), autocast():
            features = model.encode(torch.from_numpy(sample.image)[None, None].to(placement.device))
            vision = None if model.language is None else _in_float(model.vision(features))
        logits = None
        with monitor.stage("segment"), autocast():
            if model.segmenter is not None:
                logits = model.segment(features)
        with monitor.stage("classify"), autocast():
            if model.classifier is not None:
                values = model.classify(features, logits).float().sigmoid()[0].cpu().numpy()
                probabilities = {name: float(value) for name, value in
                                 zip(model.config.findings, values, strict=False)}
        del features
        if logits is not None:
            scores = _softmax(logits[0], monitor)
    return HeadResults(scores, probabilities, vision)


def fast_form(model, placement: Placement):
    """(model, autocast): the form of the model that runs fastest there, and the context to run it in."""
    if placement.device == "cpu" and placement.precision == "bf16":
        from uvlm_core.model.inference_form import inference_form

        return inference_form(model), nullcontext
    return model, placement.autocast


def _softmax(logits, monitor: Monitor) -> np.ndarray:
    """(C, Z, Y, X) logits on any device -> float16 probabilities, in slabs: never two full copies in float32."""
    out = np.empty(tuple(logits.shape), np.float16)
    for first in range(0, out.shape[1], SLAB):
        monitor.check()
        out[:, first : first + SLAB] = logits[:, first : first + SLAB].float().softmax(0).half().cpu().numpy()
    return out


def _in_float(vision):
    """Vision tokens in float32: decoding is bound by memory, and float32 keeps greedy text stable."""
    from uvlm_core.model.injection import VisionTokens

    return VisionTokens(vision.main.float(), [row.float() for row in vision.injected], vision.grids, vision.mask)
