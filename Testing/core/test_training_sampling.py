"""Patches of training show what is rare, whatever its share of the voxels."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from uvlm_core.labels import label_named
from uvlm_core.training.sampling import foreground_voxels, patch_start

LIVER, LESION = label_named("liver").id, label_named("liver_lesion").id
SIZE = (16, 16, 16)


@pytest.fixture
def case():
    target = np.zeros((64, 64, 64), np.uint8)
    target[4:60, 4:40, 4:60] = LIVER
    target[30:32, 10:12, 50:52] = LESION  # 8 of 262,144 voxels
    return SimpleNamespace(target=target, voxels=foreground_voxels(target))


def share(case, wanted, draws=400, **odds) -> float:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(draws):
        start = patch_start(case, SIZE, rng, odds)
        low, high = np.maximum(start, 0), np.maximum(start + SIZE, 0)
        hits += (case.target[tuple(slice(*side) for side in zip(low, high, strict=True))] == wanted).any()
    return hits / draws


def test_a_lesion_of_eight_voxels_is_in_most_patches(case):
    by_chance = (16 / 64) ** 3
    assert share(case, LESION) > 0.6 > 20 * by_chance


def test_odds_decide_how_often(case):
    assert share(case, LESION, liver_lesion=0.0) < 0.1 < 0.95 < share(case, LESION, liver=0.0)


def test_odds_of_0_for_all_that_a_case_has_give_a_patch_nevertheless(case):
    assert 0 < share(case, LIVER, liver_lesion=0.0, liver=0.0) < 1


def test_a_label_gives_evenly_taken_voxels_of_its_own(case):
    voxels = case.voxels[LIVER]
    assert len(voxels) == 64 and (case.target[tuple(voxels.T)] == LIVER).all()
    assert np.ptp(voxels[:, 0]) > 50
    assert len(case.voxels[LESION]) == 8 and set(case.voxels) == {LIVER, LESION}


def test_a_case_without_labels_and_one_smaller_than_the_patch_give_a_patch_nevertheless():
    empty = np.zeros((12, 40, 40), np.uint8)
    case = SimpleNamespace(target=empty, voxels=foreground_voxels(empty))
    start = patch_start(case, SIZE, np.random.default_rng(1))
    assert -10 <= start[0] <= 2 and (start[1:] <= 40 - 16 + 6).all()
