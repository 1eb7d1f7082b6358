"""The held-out cases of a run one by one: what a model makes of each, and files of the worst ones to look at.

    held_out/cases.json   {"cases": [...]} as `uvlm_core.evaluation.held_out` describes, the worst first
    held_out/<case>/      of the worst: image.nii.gz, truth.nii.gz and predicted.nii.gz on the model grid, picture.png
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import torch

from uvlm_core.datasets.picture import draw_pair
from uvlm_core.datasets.png_image import png_bytes
from uvlm_core.evaluation.held_out import MODELS, case_score, dice_of
from uvlm_core.files import replace_text
from uvlm_core.labels import IGNORE, REST, labels
from uvlm_core.model.uvlm import UVLM
from uvlm_core.training.classification import predict_cached
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.segmentation import overlaps, predict_labels
from uvlm_core.training.token_cache import cache_tokens
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap, write_volume

FOLDER, LIST = "held_out", "cases.json"
MOST_SHOWN = 8
IMAGE, TRUTH, PREDICTED, PICTURE = "image.nii.gz", "truth.nii.gz", "predicted.nii.gz", "picture.png"


@torch.no_grad()
def look_at_cases(model: UVLM, cases: list[GridCase], run: Path) -> list[dict]:
    """Per case {"overlap", "probabilities"}; None and {} where the model or the case has no masks, or no findings."""
    model.eval()
    probabilities = None
    if model.classifier is not None:
        probabilities = predict_cached(model, cache_tokens(model, cases, run / "tokens"))
    rows = []
    for number, case in enumerate(cases):
        overlap = None
        if case.has_masks and model.segmenter is not None:
            overlap = overlaps(predict_labels(model, case), case)
        told = {} if probabilities is None else dict(zip(model.config.findings, probabilities[number].tolist(),
                                                         strict=True))
        rows.append({"overlap": overlap, "probabilities": told})
    return rows


def write_cases(run: Path, model: UVLM, cases: list[GridCase], found: dict[str, list[dict]]) -> None:
    """Writes the folder anew.

    Args:
        model: with the weights of "after".
        found: "before" (which may be missing) and "after", each as of `look_at_cases`.
    """
    folder, organs = run / FOLDER, [label.name for label in labels() if label.kind == "organ"]
    shutil.rmtree(folder, ignore_errors=True)
    rows = []
    for number, case in enumerate(cases):
        row = {"name": case.name, "source": case.source, "files": False,
               "present": {name: int(value) for name, value in case.present.items() if value == value},
               **{key: found[key][number] if key in found else None for key in MODELS}}
        rows.append((row | {"score": {key: case_score(row, key, organs) for key in found}}, case))
    rows.sort(key=lambda pair: pair[0]["score"]["after"])
    for row, case in rows[:MOST_SHOWN]:
        if model.segmenter is not None:
            _write_files(folder / case.name, model, case, row["after"]["overlap"])
            row["files"] = True
    replace_text(folder / LIST, json.dumps({"cases": [row for row, _ in rows]}) + "\n")


def _write_files(folder: Path, model: UVLM, case: GridCase, overlap: dict | None) -> None:
    folder.mkdir(parents=True)
    volume = Volume(np.array(case.image), case.ijk_to_ras)
    predicted, truth, there = predict_labels(model, case), None, set()
    write_volume(folder / IMAGE, volume)
    write_labelmap(folder / PREDICTED, predicted, volume)
    if case.has_masks:
        truth = np.array(case.target)
        truth[(truth == REST) | (truth == IGNORE)] = 0
        write_labelmap(folder / TRUTH, truth, volume)
        there = {label.name for label in labels() if (truth == label.id).any()}
    about = worst_label(overlap, there)
    (folder / PICTURE).write_bytes(png_bytes(draw_pair(volume, truth, predicted, about)))


def worst_label(overlap: dict | None, there: set[str]) -> set[str]:
    """What the picture goes through: the lesion with the lowest Dice, else the organ; of equals one that is there.

    Args:
        there: labels of the truth.
    """
    dice, kinds = dice_of(overlap or {}), {label.name: label.kind for label in labels()}
    return set(sorted(dice, key=lambda name: (kinds[name] != "lesion", dice[name], name not in there))[:1])
