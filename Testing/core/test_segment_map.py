"""The map of single segments agrees with the rows of study.json that it is made for."""

from __future__ import annotations

import numpy as np

from uvlm_core.inference.content import segment_rows
from uvlm_core.inference.segment_map import segment_map
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.measurements import measure_segments


def test_every_segment_has_its_voxels():
    case = make_phantom(5, (64, 96, 96), region="both", share=0.9)
    matrix = case.volume.ijk_to_ras
    segments = measure_segments(case.labels, case.volume.array, matrix)
    rows = segment_rows(segments, set())
    assert any(row["id"].endswith("_2") for row in rows)  # a label with several lesions

    numbered = segment_map(case.labels, rows)
    assert numbered.dtype == np.uint8
    for number, row in enumerate(rows, 1):
        index = np.argwhere(numbered == number)
        assert abs(len(index) * case.volume.voxel_volume_ml - row["volume_ml"]) < 1e-3, row["id"]
        centre = matrix @ [*index.mean(0)[::-1], 1]
        np.testing.assert_allclose(centre[:3], row["centroid_ras_mm"], atol=0.01)
        assert set(np.unique(case.labels[numbered == number])) == {row["label"]}


def test_many_segments_need_more_than_a_byte():
    labels = np.zeros((40, 40, 40), np.uint8)
    labels[::2, ::2, ::2] = 30
    name = next(row["name"] for row in _lesions() if row["label"] == 30)
    rows = [{"id": f"x_{n}", "name": name} for n in range(300)]
    numbered = segment_map(labels, rows)
    assert numbered.dtype == np.int16 and numbered.max() == 300


def _lesions():
    from uvlm_core.labels import labels

    return [{"name": label.name, "label": label.id} for label in labels() if label.kind == "lesion"]
