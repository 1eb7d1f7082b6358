"""From which number on something is believed, from phantoms that were neither trained on nor measured on.

The threshold of each finding's probability, and how sure a part of a lesion's mask must be to be shown and for the
text to give its size.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from uvlm_core.evaluation.findings import choose_thresholds
from uvlm_core.evaluation.lesion_parts import choose_part_limits, choose_size_limit, lesion_parts
from uvlm_core.evaluation.phantom_cases import measure
from uvlm_core.inference.cleanup import clean_scores
from uvlm_core.inference.heads import run_heads
from uvlm_core.inference.progress import Monitor
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.grid import labels_to_grid, to_grid

FIRST_SEED, CASES = 800000, 120


def choose_cut_offs(bundle_folder: Path, assessed: Sequence[str], out: Path, cases: int = CASES,
                    device: str = "cpu") -> dict[str, dict | float]:
    """`thresholds` (finding -> probability) of the best F1; `part_limits` (lesion label -> least mean probability) and
    `size_limit` as `evaluation.lesion_parts` says."""
    rows = measure(bundle_folder, range(FIRST_SEED, FIRST_SEED + cases), out, cut_off_row, device=device)
    truth = np.array([[row["present"][name] for name in assessed] for row in rows], float)
    probability = np.array([[row["probabilities"][name] for name in assessed] for row in rows])
    parts = [row["parts"] for row in rows]
    limits = choose_part_limits(parts)
    thresholds = zip(assessed, choose_thresholds(truth, probability), strict=True)
    return {"thresholds": {name: round(float(value), 4) for name, value in thresholds},
            "part_limits": limits, "size_limit": choose_size_limit(parts, limits)}


def cut_off_row(seed: int, ready: Future) -> dict:
    """Of one phantom the probabilities, and the parts of its lesion masks before any is taken for a false alarm."""
    bundle, placement = ready.result()
    config = bundle.model.config
    case = make_phantom(seed)
    sample = to_grid(case.volume, config.grid)
    heads = run_heads(bundle.model, sample, placement, Monitor())
    parts: dict[str, dict] = {}
    if heads.scores is not None:
        winner = clean_scores(heads.scores, config.labels, sample.spec.spacing, {})
        truth = labels_to_grid(case.labels, case.volume, sample)
        parts = lesion_parts(winner, heads.scores, config.labels, truth)
    return {"present": case.present, "probabilities": heads.probabilities, "parts": parts}
