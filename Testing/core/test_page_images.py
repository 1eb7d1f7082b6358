"""The pictures inside the page: right way round, in the right place, small."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from page_study import NODULE, RADIUS, lps_arrays, ras

from uvlm_core.labels import label_named
from uvlm_core.report.page_images import KNOTS, pack, reduce_images

ORDERS = list(itertools.permutations(range(3)))
FLIPS = list(itertools.product((False, True), repeat=3))


def turned(order, flip):
    """The arrays of `lps_arrays` stored in another axis order, with the 4x4 that says so."""
    hu, labels, matrix = lps_arrays()
    shape = np.array(hu.shape)
    sides = tuple(slice(None, None, -1) if one else slice(None) for one in flip)
    new = [array.transpose(order)[sides] for array in (hu, labels)]
    to_old = np.zeros((4, 4))
    to_old[3, 3] = 1
    for axis, source in enumerate(order):  # new array axis `axis` runs along old axis `source`
        sign = -1 if flip[axis] else 1
        to_old[2 - source, 2 - axis] = sign
        to_old[2 - source, 3] = shape[source] - 1 if flip[axis] else 0
    return (*new, matrix @ to_old)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("flip", FLIPS)
def test_every_axis_order_gives_the_same_picture(order, flip):
    images = reduce_images(*turned(order, flip))
    plain = reduce_images(*lps_arrays())
    assert images.codes.shape == plain.codes.shape
    np.testing.assert_array_equal(images.codes, plain.codes)
    np.testing.assert_array_equal(images.labels, plain.labels)
    np.testing.assert_allclose(images.ijk_to_ras, plain.ijk_to_ras, atol=1e-6)


def test_masks_are_where_they_are_in_the_scan():
    images = reduce_images(*lps_arrays())
    nodule = np.argwhere(images.labels == label_named("lung_nodule").id)
    centre = images.ijk_to_ras @ [*nodule.mean(0)[::-1], 1]
    np.testing.assert_allclose(centre[:3], ras(*NODULE), atol=0.6)
    assert nodule.mean(0)[2] > images.labels.shape[2] / 2, "patient left is on the right of an axial picture"


def test_blocks_keep_place_small_lesions_and_size_limits(monkeypatch):
    from uvlm_core.report import page_images

    monkeypatch.setattr(page_images, "MOST_PER_AXIS", 40)
    hu, labels, matrix = lps_arrays()
    labels[10, 10:12, 70:72] = label_named("liver_lesion").id
    images = reduce_images(hu, labels, matrix, [label_named("liver_lesion").id])
    assert max(images.codes.shape) <= 40
    assert (images.labels == label_named("liver_lesion").id).any()
    nodule = np.argwhere(images.labels == label_named("lung_nodule").id)
    centre = images.ijk_to_ras @ [*nodule.mean(0)[::-1], 1]
    np.testing.assert_allclose(centre[:3], ras(*NODULE), atol=RADIUS)


def test_hu_survive_within_their_step():
    images = reduce_images(*lps_arrays())
    hu = np.interp(images.codes, [code for code, _ in KNOTS], [value for _, value in KNOTS])
    for value, within in ((-850, 7), (40, 2), (60, 2), (-1000, 7)):
        assert np.abs(hu - value).min() <= within


def test_a_large_scan_is_packed_small():
    rng = np.random.default_rng(0)
    hu = rng.normal(0, 20, (300, 512, 512)).astype(np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    labels[100:200, 100:400, 100:400] = 10
    images = reduce_images(hu, labels, np.diag([-0.7, -0.7, 1.0, 1.0]), [31])
    text = pack(images.codes, differences=True) + pack(images.labels)
    assert len(text) < 11_500_000
    assert images.codes.size <= 10_000_000
