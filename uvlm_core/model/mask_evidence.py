"""What the segmentation says about each finding: volume and confidence of its mask, as numbers for the classifier."""

from __future__ import annotations

import torch
from torch import Tensor

from uvlm_core.labels import findings
from uvlm_core.model.config import ClassifierConfig, ModelConfig
from uvlm_core.model.part_evidence import N_PART_EVIDENCE, part_evidence

N_EVIDENCE = 5  # log(1 + ml), highest probability, mean of the highest 64, heart / lung volume, heart / lung width
HIGHEST = 64
FLOOR = 0.01
SLAB = 8  # slices


def evidence_size(config: ClassifierConfig) -> int:
    """How many numbers `mask_evidence` gives per finding."""
    return (N_EVIDENCE + N_PART_EVIDENCE * config.part_evidence) * config.mask_evidence


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
        (B, F, E) float32, E of `evidence_size`: log(1 + volume in ml of the voxels above one half), highest
        probability, mean of the 64 highest (those below 1 % count as 0); for Cardiomegaly also the ratios of heart to
        lung volume and to lung width, at most 2; with `part_evidence` that of the surest part. Findings without a
        mask have zeros.
    """
    return torch.stack([_sample_evidence(logits, config) for logits in seg_logits])


def _sample_evidence(logits: Tensor, config: ModelConfig) -> Tensor:
    channels = evidence_labels(config)
    shown = sorted({channel for channel in channels if channel is not None})
    heart, lungs = _heart_and_lungs(config)
    wanted = shown + heart + lungs
    highest: dict[int, list[Tensor]] = {channel: [] for channel in shown}
    voxels = logits.new_zeros(len(shown), dtype=torch.float32)
    columns = logits.new_zeros(2, logits.shape[3], dtype=torch.float32)
    surest: list[tuple[Tensor, Tensor]] = []
    for slab in logits.split(SLAB, 1):  # a slab's probabilities fit into the cache, the whole volume's do not
        probability = _probabilities(slab)
        if config.classifier.part_evidence:
            sureness, winner = probability.max(0)
            surest.append((winner.byte(), sureness))
        probability = probability[wanted]
        masks, organs = probability[: len(shown)], probability[len(shown) :]
        columns[0] += (organs[: len(heart)] > 0.5).sum((0, 1, 2))
        columns[1] += (organs[len(heart) :].sum(0) > 0.5).sum((0, 1))
        peaks = masks.flatten(1).amax(1).tolist()
        for row, (channel, peak) in enumerate(zip(shown, peaks, strict=True)):
            if peak > FLOOR:  # most labels are absent from most slabs
                values = masks[row]
                voxels[row] += (values > 0.5).sum()
                values = values[values > FLOOR]
                highest[channel].append(values.topk(min(HIGHEST, len(values))).values)
    voxel_ml = config.grid.spacing[0] * config.grid.spacing[1] * config.grid.spacing[2] / 1000
    evidence = columns.new_zeros(len(channels), N_EVIDENCE)
    for row, channel in enumerate(channels):
        if channel is not None:
            values = torch.cat([columns.new_zeros(1), *highest[channel]]).sort(descending=True).values[:HIGHEST]
            evidence[row, 0] = (voxels[shown.index(channel)] * voxel_ml).log1p()
            evidence[row, 1] = values[0]
            evidence[row, 2] = values.sum() / HIGHEST
    if "Cardiomegaly" in config.findings:
        evidence[config.findings.index("Cardiomegaly"), 3:] = heart_to_lung(columns)
    if not surest:
        return evidence
    winner, sureness = (torch.cat(rows).cpu().numpy() for rows in zip(*surest, strict=True))
    parts = part_evidence(winner, sureness, channels, voxel_ml)
    return torch.cat((evidence, torch.from_numpy(parts).to(evidence.device)), 1)


def _probabilities(slab: Tensor) -> Tensor:
    """Softmax over the labels of (labels, z, Y, X), along memory where the labels are innermost."""
    if slab.stride(0) == 1:
        return slab.movedim(0, -1).float().softmax(-1).movedim(-1, 0)
    return slab.float().softmax(0)


def _heart_and_lungs(config: ModelConfig) -> tuple[list[int], list[int]]:
    """Channels of the heart and of the lung lobes."""
    heart = [channel for channel, name in enumerate(config.labels) if name == "heart"]
    lungs = [channel for channel, name in enumerate(config.labels) if name.startswith("lung_") and "_lobe" in name]
    return heart, lungs


def heart_to_lung(columns: Tensor) -> Tensor:
    """Voxels of heart and lungs per sagittal column, (2, X) -> (2,): volume ratio and left-right width ratio."""
    volume = columns.sum(1)
    filled = columns > 0.02 * columns.amax(1, keepdim=True)  # stray columns are left out
    place = torch.arange(columns.shape[1], device=columns.device)
    last, first = torch.where(filled, place, -1).amax(1), torch.where(filled, place, columns.shape[1]).amin(1)
    width = (last - first + 1).clamp_min(0)
    return torch.stack((volume[0] / volume[1].clamp_min(1), width[0] / width[1].clamp_min(1))).clamp_max(2)
