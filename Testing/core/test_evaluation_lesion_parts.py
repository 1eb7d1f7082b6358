"""Which parts of lesion masks are true, and from which mean probability on a part is believed."""

from __future__ import annotations

import numpy as np

from uvlm_core.evaluation.lesion_parts import choose_part_limits, lesion_parts
from uvlm_core.labels import label_named

NAMES = ("background", "liver", "liver_lesion", "ribs")


def test_every_part_of_a_lesion_mask_is_counted_once_with_its_mean_and_whether_it_is_true():
    scores = np.zeros((4, 20, 20, 20), np.float16)
    scores[0] = 0.2
    scores[2, 2:5, 2:5, 2:5] = 0.9
    scores[2, 5, 5, 5] = 0.5  # diagonal neighbour: the same part
    scores[2, 12:14, 12, 12] = 0.6
    truth = np.zeros((20, 20, 20), np.uint8)
    truth[4:8, 4:8, 4:8] = label_named("liver_lesion").id
    truth[12:14, 12, 12] = label_named("kidney_lesion").id  # another lesion is no hit
    found = lesion_parts(scores.argmax(0).astype(np.uint8), scores, NAMES, truth)
    assert set(found) == {"liver_lesion"}
    first, second = found["liver_lesion"]
    assert first[0] == 28 and abs(first[1] - (27 * 0.9 + 0.5) / 28) < 1e-3 and first[2] is True
    assert second == [2, 0.6, False] or (second[0], second[2]) == (2, False)


def test_the_limit_separates_true_parts_from_false_ones():
    cases = [{"liver_lesion": [[30, 0.92, True], [5, 0.63, False], [4, 0.71, False]]} for _ in range(12)]
    limit = choose_part_limits(cases)["liver_lesion"]
    assert 0.71 < limit <= 0.92


def test_no_limit_where_there_is_nothing_to_gain_or_too_little_to_tell():
    true = [[30, 0.7, True]]
    assert choose_part_limits([{"liver_lesion": true} for _ in range(12)]) == {}
    few = [{"liver_lesion": [[30, 0.92, True], [5, 0.63, False]]} for _ in range(5)]
    assert choose_part_limits(few) == {}
    assert choose_part_limits([{}, {}]) == {}
