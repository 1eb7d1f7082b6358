"""Measurements are in the patient's millimetres, whatever grid the mask lies on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from uvlm_core.labels import label_named
from uvlm_core.report.measurements import (
    cardiothoracic_ratio,
    diameters,
    measure_segments,
    seen_cardiothoracic_ratio,
)


def affine(spacing, turn=0.0, shear=0.0):
    """4x4 for LPS-like arrays with spacing (z, y, x) mm, turned about z by degrees."""
    z, y, x = spacing
    matrix = np.diag([-x, -y, z, 1.0])
    matrix[1, 2] += shear
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    turned = np.eye(4)
    turned[:2, :2] = [[c, -s], [s, c]]
    matrix = turned @ matrix
    matrix[:3, 3] = 30, -20, 100
    return matrix


def ellipsoid(shape, matrix, centre_ras, radii_mm):
    k, j, i = np.indices(shape)
    points = np.stack([i, j, k], -1) @ matrix[:3, :3].T + matrix[:3, 3]
    return (((points - centre_ras) / radii_mm) ** 2).sum(-1) <= 1


@pytest.mark.parametrize(("spacing", "turn", "shear"), [((1, 1, 1), 0, 0), ((2.5, 0.7, 0.7), 0, 0),
                                                        ((3, 1, 1), 25, 0), ((2, 1, 1.5), 0, 0.4)])
def test_diameters_of_a_known_ellipsoid(spacing, turn, shear):
    matrix = affine(spacing, turn, shear)
    shape = (40, 60, 60)
    centre = matrix[:3, :3] @ [30, 30, 20] + matrix[:3, 3]
    mask = ellipsoid(shape, matrix, centre, np.array([12, 8, 8]))
    longest, short = diameters(mask, matrix[:3, :3][:, ::-1])
    assert longest == pytest.approx(24, abs=max(spacing) * 0.8)
    assert short == pytest.approx(16, abs=max(spacing) * 0.9)


def scene(matrix, shape=(40, 80, 100)):
    """Two lungs and a nodule in the patient's left one."""
    label_map = np.zeros(shape, np.uint8)
    middle = matrix[:3, :3] @ [shape[2] / 2, shape[1] / 2, shape[0] / 2] + matrix[:3, 3]
    right = middle + np.array([35, 0, 0])
    label_map[ellipsoid(shape, matrix, right, [25, 30, 50])] = label_named("lung_upper_lobe_right").id
    label_map[ellipsoid(shape, matrix, middle - [35, 0, 0], [25, 30, 50])] = label_named("lung_upper_lobe_left").id
    label_map[ellipsoid(shape, matrix, middle - [35, 5, 0], [7, 7, 7])] = label_named("lung_nodule").id
    return label_map, middle - [35, 5, 0]


def test_left_is_left_for_all_48_axis_orders():
    matrix = affine((2, 1.5, 1.5))
    label_map, centre = scene(matrix)
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((False, True), repeat=3):
            turned = label_map.transpose(order)[tuple(slice(None, None, -1) if f else slice(None) for f in flips)]
            new = np.eye(4)
            origin = matrix[:3, 3].copy()
            for axis, (source, flip) in enumerate(zip(order, flips, strict=True)):
                column = matrix[:3, 2 - source]
                if flip:
                    origin = origin + column * (label_map.shape[source] - 1)
                new[:3, 2 - axis] = -column if flip else column
            new[:3, 3] = origin
            nodule = next(s for s in measure_segments(turned, turned.astype(np.int16), new) if s.label == "lung_nodule")
            assert (nodule.side, nodule.place) == ("left", "left upper lobe")
            np.testing.assert_allclose(nodule.centroid, centre, atol=0.5)
            assert nodule.longest_diameter_mm == pytest.approx(14, abs=1.6)
            assert nodule.volume_ml == pytest.approx(4 / 3 * np.pi * 0.7**3, rel=0.05)


def test_lesions_are_numbered_from_the_largest_on():
    matrix = affine((2, 2, 2))
    label_map = np.zeros((30, 60, 60), np.uint8)
    for centre, radius in (((15, 15, 15), 4), ((15, 40, 40), 6)):
        label_map[ellipsoid(label_map.shape, matrix, matrix[:3, :3] @ centre[::-1] + matrix[:3, 3],
                            [radius] * 3)] = label_named("liver_lesion").id
    first, second = measure_segments(label_map, np.full(label_map.shape, 40, np.int16), matrix)
    assert (first.id, second.id) == ("liver_lesion_1", "liver_lesion_2")
    assert first.volume_ml > second.volume_ml and first.mean_hu == 40


def test_cardiothoracic_ratio():
    matrix = affine((2, 2, 2))
    label_map = np.zeros((20, 40, 100), np.uint8)
    label_map[:, 10:30, 10:90] = label_named("lung_lower_lobe_left").id
    label_map[:, 10:30, 40:80] = label_named("heart").id
    assert cardiothoracic_ratio(label_map, matrix) == pytest.approx(0.5)
    assert cardiothoracic_ratio(np.zeros_like(label_map), matrix) is None


def test_no_cardiothoracic_ratio_of_cut_organs():
    whole = np.zeros((60, 60, 100), np.uint8)
    whole[5:50, 10:50, 10:50] = label_named("lung_lower_lobe_right").id
    whole[5:50, 10:50, 50:90] = label_named("lung_lower_lobe_left").id
    whole[15:35, 10:40, 40:80] = label_named("heart").id
    matrix = affine((3, 3, 3))
    assert seen_cardiothoracic_ratio(whole, matrix) == pytest.approx(0.5)
    assert seen_cardiothoracic_ratio(whole[20:], matrix) is None  # the heart is cut
    assert seen_cardiothoracic_ratio(whole[:, :, 20:], matrix) is None  # a lung is cut on its side
    assert seen_cardiothoracic_ratio(whole[:, :, :50], matrix) is None  # a lung is missing
    assert seen_cardiothoracic_ratio(whole[8:], matrix) == pytest.approx(0.5)  # the bases of the lungs do not matter
