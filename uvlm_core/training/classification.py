"""Stage 2: the model learns what is there. With a trainable encoder the segmentation loss stays beside the BCE."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from uvlm_core.evaluation.findings import choose_thresholds, classification_metrics
from uvlm_core.model.injection import collate_stage_tokens
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.loop import StageTask
from uvlm_core.training.losses import classification_loss, positive_weights, segmentation_loss
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.processes import Part
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.sampling import Prefetched, pick_case, row_generator
from uvlm_core.training.segmentation import augmented_patch
from uvlm_core.training.token_cache import CachedCase, cache_tokens, to_float
from uvlm_core.volumes.grid import apply_hu_curve


def label_matrix(cases: list[GridCase], names: tuple[str, ...]) -> Tensor:
    """(cases, F) of 0, 1 and NaN where the source does not say."""
    return torch.tensor([[case.present.get(name, float("nan")) for name in names] for case in cases])


def classification_task(model: UVLM, cases: list[GridCase], held_out: list[GridCase], recipe: StageRecipe,
                        seed: int, out: Path, cancel: Callable[[], bool] = lambda: False) -> StageTask:
    """Loss and validation of stage 2, from cached tokens when the encoder is frozen; `cancel` as in `cache_tokens`."""
    names = model.config.findings
    labelled = [case for case in cases if any(value == value for value in case.present.values())]

    def cached(network: UVLM, rows: list[GridCase], *more) -> Sequence[CachedCase]:
        return cache_tokens(network, rows, out / "tokens", recipe.precision, *more)

    checked = cached(model, held_out, cancel) if recipe.freeze_encoder else None
    weights = positive_weights(label_matrix(labelled, names))
    if recipe.freeze_encoder:
        for part in (model.encoder, model.segmenter):
            part.requires_grad_(False)
        loss = _cached_loss(cached(model, labelled, cancel), label_matrix(labelled, names), weights, recipe, seed)
    else:
        loss = _joint_loss(model, cases, weights, recipe, seed)

    def validate(network: UVLM) -> dict[str, float]:
        if not held_out:
            return {}
        rows = checked or cached(network, held_out)
        return finding_figures(predict_cached(network, rows), label_matrix(held_out, names), names)

    return StageTask(loss, validate)


def _cached_loss(cached: Sequence[CachedCase], labels: Tensor, weights: Tensor, recipe: StageRecipe, seed: int):
    def loss(model: UVLM, part: Part):
        rng = np.random.default_rng((seed, 2, part.number))
        whole = rng.choice(len(cached), recipe.batch)
        rows = [cached[number] for number in whole[part.rows(recipe.batch)]]
        device = model.classifier.bias.device
        tokens = collate_stage_tokens([to_float(row.findings, device) for row in rows])
        evidence = None
        if rows[0].evidence is not None:
            evidence = torch.cat([row.evidence for row in rows]).to(device)
        logits = model.classify_cached(tokens, evidence)
        truth = labels[whole[part.rows(recipe.batch)]].to(device)
        value = classification_loss(logits, truth, weights.to(device), recipe.label_smoothing,
                                    _counted(labels[whole], part))
        return value, {}

    return loss


def _counted(labels: Tensor, part: Part) -> float:
    """Known labels of the whole batch, over the processes that share it."""
    return max(1.0, float((~torch.isnan(labels)).sum())) / part.shares


def _joint_loss(model: UVLM, cases: list[GridCase], weights: Tensor, recipe: StageRecipe, seed: int):
    curve, names = model.config.grid.hu_curve, model.config.findings

    def make(part: Part):
        generators = [row_generator(seed, 2, part, row) for row in range(recipe.batch)]
        chosen = [pick_case(cases, rng) for rng in generators]
        made = []
        for row in part.rows(recipe.batch):
            image, target = augmented_patch(chosen[row], recipe, generators[row])
            made.append((apply_hu_curve(image, curve), target, chosen[row]))
        return made, label_matrix(chosen, names)

    batches = Prefetched(make)

    def loss(network: UVLM, part: Part):
        made, labels = batches(part)
        device = network.classifier.bias.device
        finding = region = torch.zeros((), device=device)
        for image, target, case in made:  # one by one: whole cases differ in size
            features = network.encode(torch.from_numpy(image)[None, None].to(device))
            masks = network.segment(features) if recipe.segmentation_weight > 0 else None
            truth = label_matrix([case], names).to(device)
            finding = finding + classification_loss(network.classify(features, masks), truth, weights.to(device),
                                                    recipe.label_smoothing, _counted(labels, part))
            if masks is not None:
                known = torch.from_numpy(case.known)[None].to(device)
                target = torch.from_numpy(target)[None].to(device)
                value = segmentation_loss(masks, target, known, recipe.rare_voxels, recipe.absent_voxels)
                region = region + value / len(made)
        return (finding + recipe.segmentation_weight * region,
                {"finding_loss": finding.item(), "segmentation_loss": region.item()})

    return loss


@torch.no_grad()
def predict_cached(model: UVLM, cached: Sequence[CachedCase]) -> np.ndarray:
    """(cases, F) probabilities from cached tokens."""
    device = model.classifier.bias.device
    rows = []
    for case in cached:
        evidence = None if case.evidence is None else case.evidence.to(device)
        rows.append(model.classify_cached(to_float(case.findings, device), evidence).sigmoid()[0].cpu().numpy())
    return np.stack(rows)


def finding_figures(probabilities: np.ndarray, labels: Tensor, names: tuple[str, ...]) -> dict[str, float]:
    """Macro F1 at 0.5 and at the best thresholds, over the findings that occur both present and absent."""
    truth = labels.numpy()
    used = [column for column in range(len(names)) if {0.0, 1.0} <= set(truth[:, column].tolist())]
    if not used:
        return {"score": 0.0}
    thresholds = choose_thresholds(truth[:, used], probabilities[:, used])
    half = classification_metrics(truth[:, used], probabilities[:, used], np.full(len(used), 0.5))
    best = classification_metrics(truth[:, used], probabilities[:, used], thresholds)
    return {"score": float(half["macro"]["f1"]), "macro_f1": float(half["macro"]["f1"]),
            "macro_f1_best_threshold": float(best["macro"]["f1"])}
