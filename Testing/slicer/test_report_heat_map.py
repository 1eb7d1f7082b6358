"""Which places a heat map shows: few, inside the body, and the same brightest one as study.json."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from panel_study import make_case

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))
STRIDE = (8, 12, 12)


@pytest.fixture()
def body(scene):
    """(phantom, which cells of the map lie in its body, the map's 4x4)."""
    import slicer
    from UVLMReportLib.AttributionMap import insideBody

    from uvlm_core.model.attribution import token_ijk_to_ras

    case = make_case()
    node = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array), case.volume.ijk_to_ras, "CT")
    shape = tuple(size // step for size, step in zip(case.volume.array.shape, STRIDE, strict=True))
    matrix = token_ijk_to_ras(case.volume.ijk_to_ras, STRIDE)
    return case, insideBody(node, shape, matrix), matrix


def cells(voxels: np.ndarray, shape) -> np.ndarray:
    """The share of each cell of the map that is true."""
    return voxels.reshape(shape[0], STRIDE[0], shape[1], STRIDE[1], shape[2], STRIDE[2]).mean((1, 3, 5))


def test_lungs_are_body_and_the_air_around_is_not(body):
    case, inside, _matrix = body
    from uvlm_core.labels import labels

    lungs = [label.id for label in labels() if label.name.startswith("lung_") and label.kind == "organ"]
    share = cells(np.isin(case.labels, lungs), inside.shape)
    assert (share > 0.8).any() and inside[share > 0.8].all()
    assert not inside[:, 0, 0].any() and not inside[:, -1, -1].any()
    assert 0.3 < inside.mean() < 0.9


def test_a_map_that_is_everywhere_shows_a_twentieth_of_the_body(body):
    from UVLMReportLib.AttributionMap import brightest

    _case, inside, _matrix = body
    values = np.random.default_rng(0).uniform(0.7, 1.0, inside.shape).astype(np.float32)
    values[~inside] = 2.0  # what lies around is no place of the report
    percent, faintest = brightest(values, inside)
    shown = percent >= faintest
    assert 0.03 < shown.sum() / inside.sum() < 0.07
    assert not shown[~inside].any() and percent.max() == 100


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_a_map_that_is_the_same_everywhere_tells_nothing(body, value):
    from UVLMReportLib.AttributionMap import brightest

    assert brightest(np.full(body[1].shape, value, np.float32), body[1]) is None


def test_a_single_place_is_shown_alone(body):
    from UVLMReportLib.AttributionMap import brightest

    values = np.zeros(body[1].shape, np.float32)
    place = tuple(np.argwhere(body[1])[7])
    values[place] = 0.003
    percent, faintest = brightest(values, body[1])
    assert np.argwhere(percent >= faintest).tolist() == [list(place)]


def test_all_stages_together_are_brightest_where_the_study_says(body):
    from UVLMReportLib.AttributionMap import ofStage

    from uvlm_core.model.attribution import attention_peak

    case, inside, matrix = body
    maps = np.random.default_rng(1).uniform(0, 1, (3, *inside.shape)).astype(np.float16) * np.float16([[[[9]]], [[[1]]],
                                                                                                     [[[2]]]])
    k, j, i = np.unravel_index(ofStage(maps, [4, 3, 2], None).argmax(), inside.shape)
    np.testing.assert_allclose((matrix @ [i, j, k, 1])[:3], attention_peak(maps, case.volume.ijk_to_ras, STRIDE))
    assert (ofStage(maps, [4, 3, 2], 3) == maps[1]).all()
