"""Which parts of lesion masks are true, and from which mean probability on a part is believed."""

from __future__ import annotations

import numpy as np

from uvlm_core.evaluation.lesion_parts import choose_part_limits, choose_size_limit, lesion_parts
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
    assert set(found) == {"liver_lesion"} and found["liver_lesion"]["truth"] == 64
    first, second = found["liver_lesion"]["parts"]
    assert first[0] == 28 and abs(first[1] - (27 * 0.9 + 0.5) / 28) < 1e-3 and first[2] == 2  # (4, 4, 4) and (5, 5, 5)
    assert (second[0], second[2]) == (2, 0) and abs(second[1] - 0.6) < 1e-3


def cases_of(parts: list, truth: int, count: int = 12) -> list[dict]:
    return [{"liver_lesion": {"truth": truth, "parts": parts}} for _ in range(count)]


def test_the_limit_separates_true_parts_from_false_ones():
    limit = choose_part_limits(cases_of([[30, 0.92, 28], [5, 0.63, 0], [4, 0.71, 0]], 30))["liver_lesion"]
    assert 0.71 < limit <= 0.92


def test_a_limit_that_costs_more_of_the_lesions_than_it_saves_false_alarms_is_not_chosen():
    """Large lesions of which the model is half sure among specks of which it is a little surer: the F1 of the parts
    alone would give up the lesions for the sake of the specks."""
    half_sure = cases_of([[400, 0.62, 380], [3, 0.64, 0], [3, 0.64, 0], [3, 0.64, 0]], 420)
    assert "liver_lesion" not in choose_part_limits(half_sure + cases_of([[40, 0.95, 36]], 40))


def test_no_limit_where_there_is_nothing_to_gain_or_too_little_to_tell():
    assert choose_part_limits(cases_of([[30, 0.7, 28]], 30)) == {}
    assert choose_part_limits(cases_of([[30, 0.92, 28], [5, 0.63, 0]], 30, 5)) == {}
    assert choose_part_limits([{}, {}]) == {}
    assert choose_part_limits(cases_of([[5, 0.6, 0]], 0)) == {}


def test_sizes_are_told_from_where_19_of_20_parts_are_true():
    sure = cases_of([[30, 0.95, 28]], 30, 19)
    doubtful = [{"kidney_lesion": {"truth": 30, "parts": [[9, 0.8, 8], [9, 0.8, 0]]}}] * 10
    assert choose_size_limit(sure + doubtful, {}) == 0.81
    assert choose_size_limit(sure + doubtful, {"kidney_lesion": 0.9}) == 0.5, "what is not shown has no size"
    assert choose_size_limit(doubtful, {}) == 0.99 and choose_size_limit([], {}) == 0.99
