"""A mask measured in a cut-out gives what it gives in the whole scan, on any grid, with a fine or coarse context."""

from __future__ import annotations

import numpy as np
import pytest

from uvlm_core.labels import label_named
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.cutouts import Context, count_parts, measure_cutout, ratio_with
from uvlm_core.report.measurements import cardiothoracic_ratio, measure_segments


def rotated(degrees: float) -> np.ndarray:
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s, 0, 10], [s, c, 0.1, -20], [0, 0.05, 1, 30], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def case():
    """A phantom full of lesions; its 4x4 is made oblique and sheared."""
    phantom = make_phantom(5, (72, 96, 96), region="both", share=0.7)
    matrix = rotated(12) @ phantom.volume.ijk_to_ras
    return phantom.labels, phantom.volume.array, matrix


def cut(labels, image, matrix, segment, margin: int):
    """(mask, image, 4x4) of a segment, cut out with a margin."""
    if label_named(segment.label).kind == "organ":
        mask = labels == label_named(segment.label).id
    else:
        from scipy import ndimage

        parts, _ = ndimage.label(labels == label_named(segment.label).id, np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        order = np.argsort(-sizes, kind="stable")
        mask = parts == order[int(segment.id.rsplit("_", 1)[1]) - 1]
    used = [np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    box = tuple(slice(max(0, hit[0] - margin), hit[-1] + 1 + margin) for hit in used)
    own = matrix.copy()
    own[:3, 3] = matrix[:3, :3] @ [side.start for side in box[::-1]] + matrix[:3, 3]
    return np.ascontiguousarray(mask[box]), image[box], own


def words(segment) -> tuple:
    return segment.id, segment.label, segment.side, segment.place, segment.longest_diameter_mm is None


def numbers(segment) -> list[float]:
    sizes = [segment.volume_ml, segment.mean_hu, segment.longest_diameter_mm or 0, segment.short_axis_mm or 0]
    return [*sizes, *segment.centroid, *np.ravel(segment.box)]


@pytest.mark.parametrize("margin", [0, 3])
def test_every_segment_measures_the_same_in_its_cutout(case, margin):
    labels, image, matrix = case
    whole = measure_segments(labels, image, matrix)
    assert sum(label_named(row.label).kind == "lesion" for row in whole) >= 6
    assert {row.side for row in whole if row.place} == {"left", "right"}
    context = Context(labels, matrix)
    for segment in whole:
        mask, crop, own = cut(labels, image, matrix, segment, margin)
        found = measure_cutout(segment.id, label_named(segment.label), mask, crop, own, context)
        assert words(found) == words(segment)
        assert numbers(found) == pytest.approx(numbers(segment), abs=0.011), segment.id  # points are rounded to 0.01


def test_a_coarse_context_tells_side_and_place_too(case):
    labels, image, matrix = case
    coarse = Context(np.ascontiguousarray(labels[::2, ::2, ::2]), matrix @ np.diag([2.0, 2, 2, 1]))
    turned = Context(np.ascontiguousarray(labels[::-1].transpose(2, 1, 0)),
                     matrix @ np.array([[0, 0, 1, 0], [0, 1, 0, 0], [-1, 0, 0, len(labels) - 1], [0, 0, 0, 1.0]]))
    lesions = [row for row in measure_segments(labels, image, matrix, "lesion") if row.place]
    assert len(lesions) >= 3
    for segment in lesions:
        mask, crop, own = cut(labels, image, matrix, segment, 1)
        for context in (coarse, turned):
            found = measure_cutout(segment.id, label_named(segment.label), mask, crop, own, context)
            assert found.side == segment.side
        assert (found.side, found.place) == (segment.side, segment.place)  # another axis order is no loss


def test_without_context_only_what_the_mask_knows_is_said(case):
    labels, image, matrix = case
    lesion = next(row for row in measure_segments(labels, image, matrix, "lesion") if row.place)
    mask, crop, own = cut(labels, image, matrix, lesion, 1)
    found = measure_cutout("x", label_named(lesion.label), mask, crop, own)
    assert (found.side, found.place) == (None, None)
    assert found.longest_diameter_mm == pytest.approx(lesion.longest_diameter_mm)
    lobe = cut(labels, image, matrix, next(row for row in measure_segments(labels, image, matrix)
                                           if row.id == "lung_lower_lobe_left"), 0)
    assert measure_cutout("x", label_named("lung_lower_lobe_left"), *lobe).side == "left"


def test_an_empty_mask_and_several_parts():
    mask = np.zeros((6, 7, 8), bool)
    assert measure_cutout("x", label_named("lung_nodule"), mask, np.zeros(mask.shape, np.int16), np.eye(4)) is None
    mask[1, 1, 1] = mask[4, 5, 6] = True
    assert count_parts(mask) == 2


def test_the_ratio_follows_an_edit_of_the_heart(case):
    labels, image, matrix = case
    before = cardiothoracic_ratio(labels, matrix)
    heart = next(row for row in measure_segments(labels, image, matrix) if row.id == "heart")
    mask, _, own = cut(labels, image, matrix, heart, 0)
    context = Context(labels, matrix)
    assert ratio_with(label_named("heart"), mask, own, context) == before
    half = mask.copy()
    half[:, :, mask.shape[2] // 2 :] = False
    assert ratio_with(label_named("heart"), half, own, context) < 0.75 * before
    assert ratio_with(label_named("liver"), mask, own, context) is None
    coarse = Context(np.ascontiguousarray(labels[::2, ::2, ::2]), matrix @ np.diag([2.0, 2, 2, 1]))
    assert ratio_with(label_named("heart"), mask, own, coarse) == pytest.approx(before, abs=0.03)


def test_the_border_is_known_on_the_scan_s_own_grid_alone(case):
    labels, image, matrix = case
    context = Context(labels, matrix)
    cuts = {}
    for segment in measure_segments(labels, image, matrix, "organ"):
        mask, _, own = cut(labels, image, matrix, segment, 0)
        where = np.argwhere(labels == label_named(segment.label).id)
        touches = bool((where.min(0) == 0).any() or (where.max(0) == np.array(labels.shape) - 1).any())
        cuts[segment.id] = touches
        assert context.reaches_border(mask, own) == touches
    assert set(cuts.values()) == {True, False}
    assert Context(labels, matrix @ np.diag([2.0, 2, 2, 1])).reaches_border(mask, own) is None
