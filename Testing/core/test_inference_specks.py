"""What the label map of a study shows, the study lists: what is too small for a segment goes back to its host."""

from __future__ import annotations

import numpy as np

from uvlm_core.inference.assembling import measured
from uvlm_core.inference.field_of_view import field_of_view
from uvlm_core.labels import label_named
from uvlm_core.volumes.volume import Volume

LUNG, NODULE, LIVER, LESION = (label_named(name).id for name in (
    "lung_lower_lobe_left", "lung_nodule", "liver", "liver_lesion"))


def test_specks_without_a_segment_take_the_label_around_them():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[2:20, 2:30, 2:30] = LUNG
    labels[22:38, 2:30, 2:30] = LIVER
    expected = labels.copy()
    expected[28:33, 10:15, 10:15] = LESION  # 0.125 ml
    labels[28:33, 10:15, 10:15] = LESION
    labels[5:7, 5:7, 5:7] = NODULE  # 0.008 ml in the lung
    labels[0, 0, 0] = NODULE  # and one voxel in the corner, in no organ
    volume = Volume(np.zeros(labels.shape, np.float32), np.diag([-1.0, -1.0, 1.0, 1.0]), "blocks", {"modality": "CT"})
    masks = measured(labels, volume, field_of_view(labels, 0.001, np.ones(labels.shape, bool)))
    assert {segment.label for segment in masks.segments} == {"lung_lower_lobe_left", "liver", "liver_lesion"}
    assert np.array_equal(masks.labels, expected)
