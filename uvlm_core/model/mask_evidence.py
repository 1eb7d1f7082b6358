"""What the segmentation says about each finding: volume and confidence of its mask, as numbers for the classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from uvlm_core.labels import findings
from uvlm_core.model.config import ModelConfig

N_EVIDENCE = 5  # log(1 + ml), highest probability, mean of the highest 64, heart / lung volume, heart / lung width
HIGHEST = 64


def evidence_labels(config: ModelConfig) -> list[int | None]:
    """Segmentation channel of each finding's mask; None where no channel shows it."""
    known = {finding.name: finding.label for finding in findings()}
    channels = {name: channel for channel, name in enumerate(config.labels)}
    return [channels.get(known.get(name)) for name in config.findings]


@torch.no_grad()
def mask_evidence(seg_logits: Tensor, config: ModelConfig) -> Tensor:
    """Evidence per finding; no gradient flows back into the segmentation.

    Args:
        seg_logits: (B, labels, Z, Y, X) on the model grid.
        config: gives labels, findings and the voxel size.

    Returns:
        (B, F, 5) float32: log(1 + volume in ml of the voxels above one half), highest probability, mean of the
        64 highest; for Cardiomegaly also the ratios of heart to lung volume and to lung width. Findings without a
        mask have zeros.
    """
    logits = seg_logits.float()
    total = logits.logsumexp(1)  # (B, Z, Y, X)
    voxel_ml = config.grid.spacing[0] * config.grid.spacing[1] * config.grid.spacing[2] / 1000
    channels = evidence_labels(config)
    evidence = logits.new_zeros(len(logits), len(channels), N_EVIDENCE)
    for row, channel in enumerate(channels):
        if channel is None:
            continue
        probability = (logits[:, channel] - total).exp_().flatten(1)  # (B, V)
        evidence[:, row, 0] = ((probability > 0.5).sum(1) * voxel_ml).log1p()
        highest = probability.topk(min(HIGHEST, probability.shape[1]), 1).values
        evidence[:, row, 1] = highest[:, 0]
        evidence[:, row, 2] = highest.mean(1)
    if "Cardiomegaly" in config.findings:
        evidence[:, config.findings.index("Cardiomegaly"), 3:] = heart_to_lung(logits.argmax(1), config)
    return evidence


def heart_to_lung(label_map: Tensor, config: ModelConfig) -> Tensor:
    """(B, Z, Y, X) label map -> (B, 2): volume of heart / lungs and left-right width of heart / lungs, at most 2."""
    heart = label_map == config.labels.index("heart") if "heart" in config.labels else torch.zeros_like(label_map).bool()
    lungs = torch.zeros_like(heart)
    for channel, name in enumerate(config.labels):
        if name.startswith("lung_") and "lobe" in name:
            lungs |= label_map == channel
    volume = heart.flatten(1).sum(1) / lungs.flatten(1).sum(1).clamp_min(1)
    width = _width(heart) / _width(lungs).clamp_min(1)
    return torch.stack((volume, width), 1).clamp_max(2)


def _width(mask: Tensor) -> Tensor:
    """(B,) number of columns between the outermost ones of each mask, single stray columns left out."""
    counts = mask.sum((1, 2))  # (B, X)
    filled = counts > 0.02 * counts.amax(1, keepdim=True)
    place = torch.arange(filled.shape[1], device=mask.device)
    last = torch.where(filled, place, -1).amax(1)
    first = torch.where(filled, place, filled.shape[1]).amin(1)
    return (last - first + 1).clamp_min(0)
