"""Augmentation never makes a text or a label false."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from uvlm_core.labels import IGNORE, label_named, labels
from uvlm_core.model.config import preset
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.labeler import label_sentence
from uvlm_core.training.augmentation import crop_field_of_view, mirror, mirror_table, random_intensity, random_patch
from uvlm_core.training.prepare import prepare
from uvlm_core.training.recipe import StageRecipe
from uvlm_core.training.segmentation import augmented_patch


def test_mirroring_swaps_image_masks_and_words_together():
    case = make_phantom(8, (64, 88, 88), region="both")
    image, target, text = mirror(case.volume.array, case.labels, "A 12 mm nodule in the left lower lobe.")
    left, right = label_named("kidney_left").id, label_named("kidney_right").id
    for before, after in ((left, right), (right, left)):
        np.testing.assert_array_equal(target == after, (case.labels == before)[..., ::-1])
    np.testing.assert_array_equal(image, case.volume.array[..., ::-1])
    assert label_sentence(text)[0].side == "right"
    table = mirror_table()
    for label in labels():
        mirrored = next((other for other in labels() if other.id == table[label.id]), None)
        assert (label.side, mirrored.side) in ((None, None), ("left", "right"), ("right", "left"))
    assert table[IGNORE] == IGNORE and table[0] == 0


def test_intensities_keep_tissues_in_their_order():
    phantom = np.zeros((4, 50, 50), np.float32)
    for row, value in enumerate((-1000, -850, -100, 50, 700)):
        phantom[:, row * 10 : row * 10 + 10] = value
    for seed in range(40):
        out = random_intensity(phantom, np.random.default_rng(seed))
        means = [out[:, row * 10 + 2 : row * 10 + 8].mean() for row in range(5)]
        assert means == sorted(means), "air < lung < fat < muscle < bone"
        assert abs(means[2] + 100) < 90 and abs(means[3] - 50) < 90


def test_patches_are_the_same_for_the_same_step_and_carry_no_new_label():
    case = make_phantom(8, (48, 72, 72))
    size, start = (32, 48, 48), np.array([8, 10, 12])
    first = random_patch(case.volume.array, case.labels, size, start, np.random.default_rng((1, 5)))
    again = random_patch(case.volume.array, case.labels, size, start, np.random.default_rng((1, 5)))
    other = random_patch(case.volume.array, case.labels, size, start, np.random.default_rng((1, 6)))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0], other[0])
    assert set(np.unique(first[1])) <= set(np.unique(case.labels)) | {0}


def test_geometry_moves_image_and_labels_together():
    target = np.zeros((40, 60, 60), np.uint8)
    target[12:28, 20:40, 20:40] = 10
    image = np.where(target == 10, 100, -1000).astype(np.int16)
    for seed in range(5):
        moved, labelled = random_patch(image, target, (40, 60, 60), np.zeros(3), np.random.default_rng(seed))
        inside = labelled == 10
        assert inside.sum() > 1000
        agree = ((moved > -450) == inside).mean()
        assert agree > 0.985


def test_a_cropped_field_of_view_is_unknown_and_not_background():
    image, target = np.zeros((4, 40, 40), np.float32), np.full((4, 40, 40), 10, np.uint8)
    for seed in range(10):
        crop_field_of_view(image, target, np.random.default_rng(seed))
    assert (target == IGNORE).any() and ((image == -1000) == (target == IGNORE)).all()


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    source = {"name": "healthy", "kind": "phantoms", "count": 1, "first_seed": 8, "region": "abdomen", "share": 0.0,
              "shape": [72, 96, 96], "spacing": [3.0, 3.0, 3.0]}
    return prepare([source], preset("demo").grid, tmp_path_factory.mktemp("cases"), None)[0]


def test_lesions_are_planted_into_a_patch_inside_their_organ(healthy):
    stage = StageRecipe("segmentation", 1, patch=(48, 64, 64), draw={"kidney_left": 1000.0})
    lesion, kidneys = label_named("kidney_lesion").id, [label_named(f"kidney_{side}").id for side in ("left", "right")]
    planted = 0
    for seed in range(6):
        plain, with_it = (augmented_patch(healthy, kind, np.random.default_rng(seed))[1]
                          for kind in (stage, replace(stage, plant={"kidney_lesion": 1.0})))
        below = plain[(with_it == lesion) & (plain != IGNORE)]
        assert not (plain == lesion).any() and np.isin(below, [0, *kidneys]).all()
        planted += np.isin(below, kidneys).any()
    assert planted >= 4
    assert not (np.asarray(healthy.target) == lesion).any(), "the case itself is left alone"


def test_nothing_is_planted_that_the_data_set_does_not_annotate(healthy):
    known = healthy.known.copy()
    known[label_named("kidney_lesion").id] = False
    stage = StageRecipe("segmentation", 1, patch=(48, 64, 64), draw={"kidney_left": 1000.0},
                        plant={"kidney_lesion": 1.0})
    targets = [augmented_patch(replace(healthy, known=known), stage, np.random.default_rng(seed))[1]
               for seed in range(6)]
    assert not any((target == label_named("kidney_lesion").id).any() for target in targets)
