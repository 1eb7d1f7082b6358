"""The losses of the three stages.

Segmentation: soft Dice + cross-entropy from one softmax, with partial labels; classification: BCE with the
imbalance of rare findings handled; report: cross-entropy on the answer tokens only.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from uvlm_core.labels import IGNORE, REST, labels

LESION_WEIGHT = 3.0  # of a lesion's Dice against that of an organ
VOXEL_WEIGHTS = (0.5, 8.0)  # least and most a voxel counts in the cross-entropy
RARE_VOXELS = 0.5  # power of the inverse volume in these weights; 0 counts every voxel alike
SMOOTH = 1e-5  # added to numerator and denominator of the Dice
LARGE_VOLUME, SLAB = 1 << 21, 1 << 20  # voxels from which a scan's loss is computed in slabs, and of a slab


def segmentation_loss(logits: Tensor, target: Tensor, known: Tensor, rare_voxels: float = RARE_VOXELS,
                      absent_voxels: float = 0.0) -> Tensor:
    """Log soft Dice + cross-entropy, one term per sample and class that the sample annotates.

    Args:
        logits: (B, C, Z, Y, X), channel 0 is background.
        target: (B, Z, Y, X) integer labels; IGNORE is left out, REST means "none of the known labels".
        known: (B, C) bool, the classes that the sample's data set annotates.
        rare_voxels: how much more a voxel of a rare class counts in the cross-entropy, see `_voxel_weights`.
        absent_voxels: size of a false mask of a class that is not there at which it costs log 2; 0: it costs nothing
            but its cross-entropy. See `_log_dice_loss`.

    Returns:
        scalar, cross-entropy (weighted mean over counted voxels) - mean log Dice over the foreground classes.
        The logarithm (Wong et al. 2018, arXiv 1809.00076) pulls on a class that is missed altogether as hard as on
        one that is half found; 1 - Dice pulls in proportion to what is found already.
    """
    if target[0].numel() > LARGE_VOLUME:
        target = target.flatten(1)
        return sum(_large_sample_loss(row.flatten(1), t, k, rare_voxels, absent_voxels)
                   for row, t, k in zip(logits, target, known, strict=True)) / len(target)
    log_probability = logits.float().log_softmax(1).flatten(2)  # (B, C, V)
    target = target.long().flatten(1)  # (B, V)
    total = log_probability.new_zeros(())
    for p, t, k in zip(log_probability, target, known, strict=True):
        total = total + _sample_loss(p, t, k, rare_voxels, absent_voxels)
    return total / len(target)


def _sample_loss(log_probability: Tensor, target: Tensor, known: Tensor, rare_voxels: float,
                 absent_voxels: float) -> Tensor:
    counted = target != IGNORE
    rest = target == REST
    labelled = counted & ~rest
    index = torch.where(labelled, target, 0)  # REST counts as background
    volume = log_probability.new_zeros(len(known)).index_add(0, index, counted.to(log_probability.dtype))
    log_chosen = log_probability.gather(0, index[None])[0]  # (V,)
    if rest.any():  # the probability of everything that is not annotated
        log_chosen = torch.where(rest, log_probability[~known].logsumexp(0), log_chosen)
    voxel_weight = _voxel_weights(volume, rare_voxels)[index] * counted
    cross_entropy = -(log_chosen * voxel_weight).sum() / voxel_weight.sum().clamp_min(1)

    probability = log_probability.exp()
    mass = (probability * counted).sum(1)  # (C,)
    overlap = torch.zeros_like(mass).index_add(0, index, log_chosen.exp() * labelled)
    return cross_entropy + _log_dice_loss(overlap, mass, volume, known, absent_voxels)


def _log_dice_loss(overlap: Tensor, mass: Tensor, volume: Tensor, known: Tensor, absent_voxels: float) -> Tensor:
    """Weighted mean of - log Dice over the classes (C,) that are there, background left out, and false masks beside it.

    A class that is not there has no Dice. With `absent_voxels` a its probability mass m adds - log(a / (m + a)), the
    Dice of a class of a voxels that is hit and drawn too large by m: otherwise a lesion that is missed costs far more
    than one that is made up, of a few among a hundred thousand voxels, and patches are drawn around lesions. It adds to
    the mean and is not one more of its terms: twenty classes that are rightly silent would hide the one that is missed.
    """
    weight = _class_weights(len(known), mass.device)
    present = (volume > 0) & known
    counted = present if not absent_voxels else known.clone()
    counted[0] = present[0] = False
    if not counted.any():
        return mass.new_zeros(())
    dice = (2 * overlap + SMOOTH) / (mass + volume + SMOOTH)
    if absent_voxels:
        dice = torch.where(present, dice, absent_voxels / (mass + absent_voxels))
    return -(dice.log() * weight)[counted].sum() / weight[present if present.any() else counted].sum()


def _large_sample_loss(logits: Tensor, target: Tensor, known: Tensor, rare_voxels: float,
                       absent_voxels: float) -> Tensor:
    """`_sample_loss` of logits (C, V), a slab of voxels at a time, whose probabilities are computed again for the
    gradient: all classes of a whole scan in float32, several times, would take more memory than the network."""
    classes = len(known)
    volume = logits.new_zeros(classes, dtype=torch.float32)
    for part in target.split(SLAB):
        index, counted = _counted_index(part)
        volume = volume.index_add(0, index, counted.float())
    table = _voxel_weights(volume, rare_voxels)
    sums = [checkpoint(_slab_sums, row, part, known, table, use_reentrant=False)
            for row, part in zip(logits.split(SLAB, 1), target.split(SLAB), strict=True)]
    loss, weights, mass, overlap = (torch.stack(rows).sum(0) for rows in zip(*sums, strict=True))
    cross_entropy = loss / weights.clamp_min(1)
    return cross_entropy + _log_dice_loss(overlap, mass, volume, known, absent_voxels)


def _counted_index(target: Tensor) -> tuple[Tensor, Tensor]:
    """(class of each voxel, REST and IGNORE as background; whether it is counted)."""
    counted = target != IGNORE
    return torch.where(counted & (target != REST), target.long(), 0), counted


def _slab_sums(logits: Tensor, target: Tensor, known: Tensor, table: Tensor) -> tuple[Tensor, ...]:
    """Sums over the voxels of a slab: weighted cross-entropy, weights, probability (C,) and overlap (C,)."""
    log_probability = logits.float().log_softmax(0)
    index, counted = _counted_index(target)
    rest = target == REST
    log_chosen = log_probability.gather(0, index[None])[0]
    if rest.any():
        log_chosen = torch.where(rest, log_probability[~known].logsumexp(0), log_chosen)
    weight = table[index] * counted
    mass = (log_probability.exp() * counted).sum(1)
    overlap = torch.zeros_like(mass).index_add(0, index, log_chosen.exp() * (counted & ~rest))
    return -(log_chosen * weight).sum(), weight.sum(), mass, overlap


def _voxel_weights(volume: Tensor, power: float) -> Tensor:
    """(C,) weight of a voxel of each class in the cross-entropy, from the voxels (C,) that each class has in the patch.

    A nodule has a thousandth of the voxels of a lung: with equal weights (power 0) its gradient drowns at first, with
    weights inverse to the volume (power 1) every lesion is drawn too large. The square root, within limits, lies
    between and still draws thin things thick; so training ends with equal weights.
    """
    even = volume.sum() / (volume > 0).sum().clamp_min(1)
    return (even / volume.clamp_min(1)).pow(power).clamp(*VOXEL_WEIGHTS)


def _class_weights(classes: int, device: torch.device) -> Tensor:
    """(C,) weight of the Dice of each class: lesions are what the model is for, and the hardest."""
    weight = torch.ones(classes, device=device)
    for label in labels():
        if label.kind == "lesion" and label.id < classes:
            weight[label.id] = LESION_WEIGHT
    return weight


def deep_supervision_loss(outputs: list[Tensor], target: Tensor, known: Tensor, rare_voxels: float = RARE_VOXELS,
                          absent_voxels: float = 0.0) -> Tensor:
    """Weighted sum over resolutions, weights 1, 1/2, 1/4 … normalised (nnU-Net, lowest resolution left in).

    Args:
        outputs: logits from full to low resolution, each (B, C, z, y, x).
        target: (B, Z, Y, X); lower resolutions take every second voxel, which keeps small labels exact.
        known: (B, C) bool.
        rare_voxels, absent_voxels: see `segmentation_loss`; the latter in voxels of the full resolution.
    """
    weights = [0.5**level for level in range(len(outputs))]
    total = 0.0
    for weight, logits in zip(weights, outputs, strict=True):
        step = [full // low for full, low in zip(target.shape[1:], logits.shape[2:], strict=True)]
        lower = target[:, :: step[0], :: step[1], :: step[2]]
        total = total + weight * segmentation_loss(logits, lower, known, rare_voxels, absent_voxels / math.prod(step))
    return total / sum(weights)


def positive_weights(labels: Tensor, limit: float = 5.0) -> Tensor:
    """(F,) weight of a positive per finding: negatives / positives, at most `limit`, 1 where none is positive.

    Args:
        labels: (cases, F) of 0 and 1; NaN where the data set does not say.
    """
    known = ~torch.isnan(labels)
    positive = (torch.nan_to_num(labels) * known).sum(0)
    negative = known.sum(0) - positive
    weight = torch.where(positive > 0, negative / positive.clamp_min(1), torch.ones_like(positive))
    return weight.clamp(1 / limit, limit)


def classification_loss(logits: Tensor, labels: Tensor, weights: Tensor, smoothing: float = 0.0,
                        counted: float | None = None) -> Tensor:
    """BCE with logits, mean over the findings that are known.

    Args:
        logits, labels: (B, F); NaN in `labels` is left out.
        weights: (F,) from `positive_weights`.
        smoothing: moves 0 and 1 by this much towards 1/2.
        counted: what the sum is divided by where the rows are a share of a batch; default the known ones among them.
    """
    known = ~torch.isnan(labels)
    target = torch.nan_to_num(labels) * (1 - smoothing) + smoothing / 2
    loss = functional.binary_cross_entropy_with_logits(logits.float(), target, pos_weight=weights, reduction="none")
    return (loss * known).sum() / (known.sum().clamp_min(1) if counted is None else counted)


def answer_loss(logits: Tensor, ids: Tensor, answer: Tensor, smoothing: float = 0.0,
                counted: float | None = None) -> Tensor:
    """Cross-entropy of the next token, counted on the answer only; the prompt never enters.

    Args:
        logits: (B, T, V), logits[:, t] predicts ids[:, t + 1].
        ids: (B, T).
        answer: (B, T) bool, True for the tokens that the model shall write (its end token included).
        counted: what the sum is divided by where the rows are a share of a batch; default their answer tokens.
    """
    wanted = answer[:, 1:]
    chosen, following = logits[:, :-1][wanted].float(), ids[:, 1:][wanted]
    if counted is None:
        return functional.cross_entropy(chosen, following, label_smoothing=smoothing)
    return functional.cross_entropy(chosen, following, label_smoothing=smoothing, reduction="sum") / counted
