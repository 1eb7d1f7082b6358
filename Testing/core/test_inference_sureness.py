"""A size is told of masks that the model is sure of; which they are is looked up on the model's grid."""

from __future__ import annotations

import numpy as np

from uvlm_core.inference.sureness import unsure_segments
from uvlm_core.labels import label_named
from uvlm_core.report.measurements import measure_segments

NAMES = ("background", "liver", "liver_lesion", "kidney_lesion")


def test_each_lesion_has_the_mean_of_its_own_part():
    """Two liver lesions, one of them unsure, on a grid of 3 mm; the scan has 1.5 mm and another origin."""
    scores = np.zeros((4, 20, 24, 30), np.float16)
    scores[0] = 0.3
    scores[2, 3:7, 4:8, 5:9], scores[2, 12:16, 14:18, 20:24] = 0.95, 0.7
    scores[3, 10:13, 4:7, 20:23] = 0.85
    winner = scores.argmax(0).astype(np.uint8)
    grid = np.array([[-3.0, 0, 0, 40], [0, -3, 0, 30], [0, 0, 3, -70], [0, 0, 0, 1]])
    scan = grid @ np.diag([0.5, 0.5, 0.5, 1.0])
    scan[:3, 3] = grid[:3, 3] + grid[:3, :3] @ [-0.25, -0.25, -0.25]  # the centres of the first small voxels
    table = np.array([0, *(label_named(name).id for name in NAMES[1:])], np.uint8)
    fine = table[winner].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    segments = measure_segments(fine, np.zeros(fine.shape, np.float32), scan)
    by_place = {segment.id: segment.centroid[0] for segment in segments if segment.label == "liver_lesion"}
    unsure, sure = sorted(by_place, key=by_place.get)  # R falls with the column: the second lesion comes first
    found = unsure_segments(winner, scores, NAMES, grid, segments, 0.9)
    assert found == {unsure, "kidney_lesion_1"} and sure not in found
    assert unsure_segments(winner, scores, NAMES[:1], grid, segments, 0.9) == frozenset()
