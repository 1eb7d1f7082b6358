"""Which case and which part of it a training step sees. Everything is drawn from (seed, step)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from uvlm_core.labels import IGNORE, REST, labels
from uvlm_core.training.prepare import GridCase
from uvlm_core.training.processes import Part


def row_generator(seed: int, stage: int, part: Part, row: int) -> np.random.Generator:
    """The randomness of one case of a batch: the same in every process. Row 0 has that of (seed, stage, number),
    because numpy fills missing numbers with zeros."""
    return np.random.default_rng((seed, stage, part.number, row))


def pick_case(cases: list[GridCase], rng: np.random.Generator) -> GridCase:
    """One case, in proportion to the weight of its source shared over the cases of that source."""
    weights = np.array([case.weight for case in cases], dtype=float)
    return cases[rng.choice(len(cases), p=weights / weights.sum())]


def patch_start(case: GridCase, size: tuple[int, int, int], rng: np.random.Generator,
                odds_of: Mapping[str, float] = MappingProxyType({})) -> np.ndarray:
    """First voxel of a patch that holds some voxel of a label drawn at random; lesions are drawn three times as often,
    the labels of `odds_of` (name -> odds) as often as it says, with 0 never.

    Where the case is smaller than the patch, the patch is centred on it.
    """
    odds_of = {label.name: 3.0 if label.kind == "lesion" else 1.0 for label in labels()} | dict(odds_of)
    present = [label for label in labels() if label.id in case.voxels and odds_of[label.name] > 0]
    shape = np.array(case.target.shape)
    if present:
        odds = np.array([odds_of[label.name] for label in present])
        label = present[rng.choice(len(present), p=odds / odds.sum())]
        centre = case.voxels[label.id][rng.integers(len(case.voxels[label.id]))]
    else:
        centre = rng.integers(0, shape)
    start = centre - (np.array(size) * rng.uniform(0.2, 0.8, 3)).astype(int)
    slack = shape - np.array(size)
    inside = np.clip(start, np.minimum(slack, 0) - 6, np.maximum(slack, 0) + 6)
    return np.where(slack > 0, inside, slack // 2 + rng.integers(-4, 5, 3))


def foreground_voxels(target: np.ndarray, most: int = 64) -> dict[int, np.ndarray]:
    """label id -> (n, 3) at most `most` voxel indices of it, evenly taken; IGNORE and REST are left out."""
    flat = target.ravel()
    order = np.argsort(flat, kind="stable")
    values, first, counts = np.unique(flat[order], return_index=True, return_counts=True)
    found = {}
    for value, start, count in zip(values, first, counts, strict=True):
        if value in (0, IGNORE, REST):
            continue
        chosen = order[start + np.linspace(0, count - 1, min(count, most)).astype(int)]
        found[int(value)] = np.stack(np.unravel_index(chosen, target.shape), 1)
    return found


class Prefetched:
    """Makes the next batch in a thread while this one computes; the result depends on the part alone."""

    def __init__(self, make: Callable[[Part], object]):
        self.make = make
        self.pool = ThreadPoolExecutor(1)
        self.pending: dict[int, Future] = {}

    def __call__(self, part: Part):
        future = self.pending.pop(part.number, None) or self.pool.submit(self.make, part)
        after = replace(part, number=part.following, following=part.following + 1)
        self.pending = {after.number: self.pool.submit(self.make, after)}
        return future.result()
