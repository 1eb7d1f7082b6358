"""Stage 1: encoder and segmenter learn where things are, from augmented patches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from uvlm_core.errors import RecipeError
from uvlm_core.labels import IGNORE, label_named, labels
from uvlm_core.model.uvlm import UVLM
from uvlm_core.phantom.insertion import plant_in_patch
from uvlm_core.training.augmentation import crop_field_of_view, mirror, random_intensity, random_patch
from uvlm_core.training.loop import StageTask
from uvlm_core.training.losses import deep_supervision_loss
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.processes import Part, mine, sum_over_processes
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.sampling import Prefetched, patch_start, pick_case, row_generator
from uvlm_core.volumes.grid import apply_hu_curve


def segmentation_task(model: UVLM, cases: list[GridCase], held_out: list[GridCase], recipe: StageRecipe,
                      seed: int) -> StageTask:
    """Loss and validation of stage 1; each case of a batch is drawn from (seed, step, row)."""
    curve = model.config.grid.hu_curve
    device = next(model.parameters()).device
    cases = [case for case in cases if case.has_masks and case.weight > 0]
    if not cases:
        raise RecipeError("None of the training cases has masks and a source of weight above 0; the segmentation stage "
                          "needs some.")

    def make(part: Part):
        rows = [row_generator(seed, 1, part, row) for row in part.rows(recipe.batch)]
        return segmentation_batch(cases, recipe, curve, rows)

    batches = Prefetched(make)

    def loss(network: UVLM, part: Part):
        image, target, known = (tensor.to(device) for tensor in batches(part))
        outputs = network.segment(network.encode(image), deep_supervision=True)[:3]
        value = deep_supervision_loss(outputs, target, known, recipe.rare_voxels, recipe.absent_voxels)
        return value, {}

    return StageTask(loss, lambda network: validate_segmentation(network, held_out))


def segmentation_batch(cases: list[GridCase], recipe: StageRecipe, curve, generators: list[np.random.Generator]):
    """image (B, 1, Z, Y, X) float32, target (B, Z, Y, X) uint8, known (B, C) bool; one case per generator."""
    images, targets, known = [], [], []
    for rng in generators:
        case = pick_case(cases, rng)
        image, target = augmented_patch(case, recipe, rng)
        images.append(apply_hu_curve(image, curve))
        targets.append(target)
        known.append(case.known)
    if len({image.shape for image in images}) > 1:
        raise RecipeError("A batch of whole cases needs cases of one size. Give the stage a 'patch', or batch 1 and "
                          "'accumulate' instead.")
    return (torch.from_numpy(np.stack(images)[:, None]), torch.from_numpy(np.stack(targets)),
            torch.from_numpy(np.stack(known)))


def augmented_patch(case: GridCase, recipe: StageRecipe, rng: np.random.Generator):
    """HU patch and labels of `recipe.patch` voxels (the whole case where None)."""
    size = recipe.patch or case.target.shape
    start = patch_start(case, size, rng, recipe.draw) if recipe.patch else np.zeros(3, int)
    if not recipe.augment:
        return cut(case.image, start, size, -1000).astype(np.float32), cut(case.target, start, size, 0)
    image, target = random_patch(case.image, case.target, size, start, rng)
    if recipe.plant:
        shares = {name: share for name, share in recipe.plant.items() if case.known[label_named(name).id]}
        plant_in_patch(image, target, tuple(np.linalg.norm(case.ijk_to_ras[:3, 2::-1], axis=0)), shares, rng)
    image = random_intensity(image, rng)
    if rng.random() < 0.15:
        crop_field_of_view(image, target, rng)
    if rng.random() < recipe.mirror:
        image, target, _ = mirror(image, target, "")
    return image.astype(np.float32), target


def cut(array: np.ndarray, start: np.ndarray, size: tuple[int, int, int], fill: float) -> np.ndarray:
    """array[start : start + size] with `fill` where that reaches outside."""
    out = np.full(size, fill, array.dtype)
    source, place = [], []
    for first, length, extent in zip(start, size, array.shape, strict=True):
        low, high = max(0, first), min(extent, first + length)
        source.append(slice(low, max(low, high)))
        place.append(slice(low - first, max(low, high) - first))
    out[tuple(place)] = array[tuple(source)]
    return out


@torch.no_grad()
def validate_segmentation(model: UVLM, cases: list[GridCase]) -> dict[str, float]:
    """Dice of organs and of lesions over whole held-out cases on the model grid; labels that all of them lack are left
    out. "score" is their sum, of each source for itself and then averaged, that six corrected cases are not outvoted by
    twenty-four phantoms; `loop` says what the figures that begin with "source_" are for."""
    sources = sorted({case.source for case in cases})
    overlap, volume = np.zeros((len(sources), 256)), np.zeros((len(sources), 256))
    for case in mine(cases):
        found, row = overlaps(predict_labels(model, case), case), sources.index(case.source)
        for label in labels():
            overlap[row, label.id] += found.get(label.name, (0, 0))[0]
            volume[row, label.id] += found.get(label.name, (0, 0))[1]
    overlap, volume = sum_over_processes(overlap), sum_over_processes(volume)
    each = {source: _mean_dice(overlap[row], volume[row]) for row, source in enumerate(sources) if volume[row].any()}
    score = float(np.mean([sum(pair) for pair in each.values()] or [0.0]))
    apart = {f"source_{source}_{name}_dice": value for source, pair in each.items()
             for name, value in zip(("organ", "lesion"), pair, strict=True)} if len(each) > 1 else {}
    together, all_volume = overlap.sum(0), volume.sum(0)
    organs, lesions = _mean_dice(together, all_volume)
    rows = {label.name: round(float(together[label.id] / all_volume[label.id]), 4)
            for label in labels() if all_volume[label.id]}
    return {"score": score, "organ_dice": organs, "lesion_dice": lesions, **apart, **rows}


def _mean_dice(overlap: np.ndarray, volume: np.ndarray) -> tuple[float, float]:
    """(organs, lesions) from twice the common voxels and the voxels of truth and prediction, by label id; 0 without."""
    dice = {label: overlap[label.id] / volume[label.id] for label in labels() if volume[label.id]}
    organs, lesions = ([value for label, value in dice.items() if label.kind == kind] for kind in ("organ", "lesion"))
    return float(np.mean(organs or [0.0])), float(np.mean(lesions or [0.0]))


def overlaps(predicted: np.ndarray, case: GridCase) -> dict[str, list[int]]:
    """label -> [twice the common voxels, voxels of truth and prediction] of the labels that the case annotates."""
    target = np.asarray(case.target)
    counted = target != IGNORE
    found, truth = (np.bincount(values[counted], minlength=256) for values in (predicted, target))
    both = np.bincount(target[counted & (predicted == target)], minlength=256)
    return {label.name: [2 * int(both[label.id]), int(found[label.id] + truth[label.id])]
            for label in labels() if case.known[label.id]}


@torch.no_grad()
def predict_labels(model: UVLM, case: GridCase) -> np.ndarray:
    """(Z, Y, X) uint8 labels of one whole case on the model grid."""
    image = whole_image(model, case)
    with torch.autocast(image.device.type, torch.bfloat16):
        return model.segment(model.encode(image))[0].argmax(0).to(torch.uint8).cpu().numpy()


def whole_image(model: UVLM, case: GridCase) -> torch.Tensor:
    """(1, 1, Z, Y, X) network values of a case on the model's device."""
    image = torch.from_numpy(apply_hu_curve(np.asarray(case.image, np.float32), model.config.grid.hu_curve))
    return image[None, None].to(next(model.parameters()).device)


def whole_images(model: UVLM, cases: list[GridCase], count: int, seed: int) -> Iterator[torch.Tensor]:
    """`count` whole cases, drawn as training draws them."""
    rng = np.random.default_rng(seed)
    return (whole_image(model, pick_case(cases, rng)) for _ in range(count))
