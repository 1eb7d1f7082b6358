"""The model grid and the way back: geometry in mm, sides, labels, for every kind of scan axes."""

from __future__ import annotations

import os
from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.grid import GridSpec, grid_to_ras, labels_to_grid, scores_to_scan, to_grid
from uvlm_core.volumes.orientation import orientation_of
from uvlm_core.volumes.reading import read_volume
from uvlm_core.volumes.volume import Volume

DATA = Path(os.environ["UVLM_DATA"]) if os.environ.get("UVLM_DATA") else None
needs_data = pytest.mark.skipif(DATA is None, reason="real scans: set UVLM_DATA to their folder")
SPEC = GridSpec()
LEFT_BALL, RIGHT_BALL = np.array([-50.0, 10.0, 20.0]), np.array([45.0, -12.0, -25.0])  # RAS mm; left has negative R
ALL_ORDERS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


def body(matrix: np.ndarray, shape: tuple[int, int, int]) -> tuple[Volume, np.ndarray]:
    """An ellipsoid of soft tissue with a bright ball (label 1) on the left and a dark one (2) on the right."""
    z, y, x = np.indices(shape)
    ras = np.stack([x, y, z], -1) @ matrix[:3, :3].T + matrix[:3, 3]
    hu = np.full(shape, -1000, np.int16)
    hu[((ras / [95, 70, 80]) ** 2).sum(-1) < 1] = 40
    labels = np.zeros(shape, np.uint8)
    for label, (center, value) in enumerate(((LEFT_BALL, 900), (RIGHT_BALL, -700)), start=1):
        ball = np.linalg.norm(ras - center, axis=-1) < 15
        hu[ball], labels[ball] = value, label
    return Volume(hu, matrix), labels


def centred(directions: np.ndarray, spacing, shape) -> np.ndarray:
    """ijk_to_ras with the array's centre at RAS 0; columns of `directions` are the i, j, k axes."""
    matrix = np.eye(4)
    matrix[:3, :3] = directions * np.asarray(spacing)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(shape[::-1]) - 1) / 2)
    return matrix


def one_hot(labels: np.ndarray, count: int) -> np.ndarray:
    return (labels[None] == np.arange(count)[:, None, None, None]).astype(np.float32)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def centre_ras(mask: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return matrix[:3, :3] @ np.argwhere(mask).mean(0)[::-1] + matrix[:3, 3]


def check_both_ways(volume: Volume, labels: np.ndarray, tolerance: float = 1.0, agreement: float = 0.93):
    sample = to_grid(volume, SPEC)
    target = labels_to_grid(labels, volume, sample)
    back = scores_to_scan(one_hot(target, 3), sample, volume)
    assert back.shape == volume.shape and back.dtype == np.uint8
    for label, (center, value) in enumerate(((LEFT_BALL, 900), (RIGHT_BALL, -700)), start=1):
        assert np.linalg.norm(centre_ras(target == label, sample.ijk_to_ras) - center) < tolerance
        assert np.linalg.norm(centre_ras(back == label, volume.ijk_to_ras) - center) < tolerance
        index = np.rint(np.linalg.inv(sample.ijk_to_ras) @ [*center, 1])[[2, 1, 0]].astype(int)
        assert abs(sample.hu[tuple(index)] - value) < 30
        assert dice(back == label, labels == label) > agreement
    return sample, target


@pytest.mark.parametrize(("order", "flips"), ALL_ORDERS)
def test_left_stays_left_for_every_axis_order(order, flips):
    """All 48 orders, of which half are left-handed; spacing differs along every axis."""
    directions = np.zeros((3, 3))
    for array_axis, (patient_axis, sign) in enumerate(zip(order, flips, strict=True)):
        directions[patient_axis, array_axis] = sign
    spacing = (3.0, 3.5, 4.5)
    extent = np.array([220, 170, 190])[list(order)] / spacing
    shape = tuple(int(n) for n in extent[::-1])
    volume, labels = body(centred(directions, spacing, shape), shape)
    sample, target = check_both_ways(volume, labels, agreement=0.9)
    axes = sample.ijk_to_ras[:3, :3] / 3.0
    assert np.allclose(axes, np.diag([-1, -1, 1]))  # x to the left, y to posterior, z up
    assert np.argwhere(target == 1)[:, 2].mean() > np.argwhere(target == 2)[:, 2].mean()  # low x is the right side
    assert all(size % SPEC.multiple == 0 for size in sample.hu.shape)


@pytest.mark.parametrize("degrees", [4.0, 18.0, 40.0])
def test_oblique_scans_keep_their_millimetres(degrees):
    """Turned about two axes: up to 25 degrees the grid turns with the scan, beyond that the scan is rotated."""
    a, b = np.radians(degrees), np.radians(degrees / 2)
    about_z = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    shape = (70, 80, 110)
    matrix = centred(about_z @ about_x @ np.diag([-1, -1, 1]), (2.0, 2.0, 2.5), shape)
    sample, _ = check_both_ways(*body(matrix, shape))
    assert (sample.orientation is None) == (degrees > 25)


def test_sheared_scans_keep_their_millimetres():
    """As a tilted gantry makes them."""
    shape = (70, 80, 110)
    matrix = centred(np.array([[-1, 0, 0], [0, -1, 0.3], [0, 0, 1]]), (2.0, 2.0, 2.5), shape)
    sample, _ = check_both_ways(*body(matrix, shape))
    assert sample.orientation is None


@pytest.mark.parametrize("spacing", [(0.8, 0.8, 5.0), (1.5, 1.5, 1.5), (3.0, 3.0, 3.0), (4.0, 4.0, 1.0)])
def test_anisotropic_scans(spacing):
    shape = tuple(int(n) for n in (np.array([220, 170, 190]) / spacing)[::-1])
    coarse = max(spacing)
    check_both_ways(*body(centred(np.diag([-1, -1, 1]), spacing, shape), shape), tolerance=0.25 * max(coarse, 4),
                    agreement=0.88)


def test_resampling_averages_instead_of_skipping():
    """A pattern finer than the grid must come out as its mean, not as stripes."""
    shape = (60, 120, 120)
    matrix = centred(np.diag([-1, -1, 1]), (0.75, 0.75, 3.0), shape)
    hu = np.full(shape, 0, np.int16)
    hu[:, :, ::2] = 100
    sample = to_grid(Volume(hu, matrix), SPEC)
    inner = sample.hu[8:12, 8:24, 8:24]
    assert abs(inner.mean() - 50) < 2 and inner.std() < 8


def test_a_plane_of_hu_keeps_its_values_in_mm():
    """Linear resampling reproduces a linear field exactly, so any shift of geometry would show."""
    shape = (50, 90, 100)
    matrix = centred(np.diag([-1, 1, -1]), (1.7, 2.1, 2.6), shape)
    z, y, x = np.indices(shape)
    ras = np.stack([x, y, z], -1) @ matrix[:3, :3].T + matrix[:3, 3]
    slope = np.array([1.5, -0.7, 2.0])
    sample = to_grid(Volume((ras @ slope).astype(np.float32), matrix), SPEC)
    points = np.argwhere(sample.inside)
    points = points[(points > 3).all(1) & (points < np.array(sample.hu.shape) - 4).all(1)]
    near_edge = (np.abs(grid_to_ras(sample, points)) > np.array([80, 90, 60])).any(1)
    points = points[~near_edge]
    assert len(points) > 1000
    assert np.abs(sample.hu[tuple(points.T)] - grid_to_ras(sample, points) @ slope).max() < 0.05


def test_filling_outside_the_field_of_view_is_air_and_not_inside():
    shape = (40, 100, 100)
    volume, _ = body(centred(np.diag([-1, -1, 1]), (2.0, 2.0, 3.0), shape), shape)
    hu = volume.array.copy()
    y, x = np.ogrid[:100, :100]
    outside = (y - 50) ** 2 + (x - 50) ** 2 > 45**2
    hu[:, outside] = -2048
    sample = to_grid(Volume(hu, volume.ijk_to_ras), SPEC)
    assert (sample.hu[~sample.inside] == -1000).all() and sample.hu.min() >= -1024
    points = grid_to_ras(sample, np.argwhere(sample.inside))
    assert np.hypot(points[:, 0], points[:, 1]).max() < 93
    assert 0.3 < sample.inside.mean() < 0.95


def test_the_grid_is_cropped_to_the_body():
    """A small body in a large field of view, with a thin table behind it."""
    shape = (40, 256, 256)
    matrix = centred(np.diag([-1, -1, 1]), (2.0, 2.0, 3.0), shape)
    volume, _ = body(matrix, shape)
    volume.array[:, 178:180, 20:236] = 100  # the table, 100 mm behind
    sample = to_grid(volume, SPEC)
    assert sample.hu.shape[1:] == (64, 80) or sample.hu.shape[1] <= 64
    assert sample.hu.shape[0] == 48


def test_an_empty_scan_and_a_tiny_one_do_not_fail():
    for shape in ((3, 20, 20), (1, 1, 1), (40, 40, 40)):
        volume = Volume(np.full(shape, -1000, np.int16), np.diag([-2.0, -2.0, 2.0, 1.0]))
        sample = to_grid(volume, SPEC)
        assert scores_to_scan(np.ones((2, *sample.hu.shape), np.float32), sample, volume).shape == shape


def test_largest_size_is_kept():
    shape = (60, 100, 120)
    volume, _ = body(centred(np.diag([-1, -1, 1]), (2.0, 2.0, 3.0), shape), shape)
    sample = to_grid(volume, GridSpec(max_shape=(32, 48, 48)))
    assert sample.hu.shape == (32, 48, 48)


def test_logits_and_probabilities_give_the_same_labels():
    shape = (30, 60, 70)
    volume, labels = body(centred(np.diag([-1, 1, 1]), (3.0, 3.0, 4.0), shape), shape)
    sample = to_grid(volume, SPEC)
    logits = one_hot(labels_to_grid(labels, volume, sample), 3) * 20 - 10
    probabilities = np.exp(logits) / np.exp(logits).sum(0)
    a = scores_to_scan(logits, sample, volume)
    b = scores_to_scan(probabilities.astype(np.float16), sample, volume)
    assert np.mean(a != b) < 2e-3


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 1.0), (0.9, 0.9, 5.0), (3.0, 3.0, 3.0), (4.1, 4.3, 4.7)])
def test_an_organ_that_the_edge_of_the_scan_cuts_reaches_the_edge(spacing):
    """Grid voxels beyond the scan are background; they must not eat the outermost slices."""
    for extra in range(4):
        shape = tuple(int(60 / step) + extra for step in spacing[::-1])
        volume = Volume(np.full(shape, 40, np.int16), np.diag([-spacing[0], spacing[1], -spacing[2], 1.0]))
        sample = to_grid(volume, SPEC)
        target = labels_to_grid(np.ones(shape, np.uint8), volume, sample)
        assert (target[sample.inside] == 1).all() and (target[~sample.inside] == 0).all()
        assert (scores_to_scan(one_hot(target, 2), sample, volume) == 1).all()


def test_labels_of_another_shape_are_refused():
    volume = Volume(np.zeros((4, 5, 6), np.int16), np.eye(4))
    with pytest.raises(VolumeError, match="must agree"):
        labels_to_grid(np.zeros((4, 5, 7), np.uint8), volume, to_grid(volume, SPEC))


def test_unknown_voxels_stay_unknown():
    """255 (ignore) and 254 (rest) survive, so that a loss can leave them out."""
    shape = (30, 60, 70)
    volume, labels = body(centred(np.diag([-1, -1, 1]), (3.0, 3.0, 4.0), shape), shape)
    labels[:, :, :20], labels[:, :, 60:] = 255, 254
    sample = to_grid(volume, SPEC)
    found = set(np.unique(labels_to_grid(labels, volume, sample)))
    assert {0, 1, 2, 254, 255} == found


REAL = [("lidc0001_ct.nii.gz", "lidc0001_totalseg.nii.gz", 0.93, 20000),
        ("ts_abdomenpelvis_3mm_ct.nii.gz", "ts_abdomenpelvis_3mm_seg117.nii.gz", 0.95, 1000),
        ("ts_cta_chest_1p5mm_ct.nii.gz", "ts_cta_chest_1p5mm_heart.nii.gz", 0.95, 20000)]


@needs_data
@pytest.mark.parametrize(("scan", "mask", "agreement", "smallest"), REAL)
def test_organs_of_real_scans_survive_the_round_trip(scan, mask, agreement, smallest):
    """To the 3 mm grid and back: organs keep their shape, and lie where they were to within one voxel."""
    volume, labels = read_volume(DATA / "labelled" / scan), read_volume(DATA / "labelled" / mask).array.astype(np.uint8)
    counts = np.bincount(labels.ravel(), minlength=256)
    large = [value for value in np.argsort(-counts[1:])[:6] + 1 if counts[value] > smallest]
    table = np.zeros(256, np.uint8)
    table[large] = np.arange(1, len(large) + 1)
    labels = table[labels]
    sample = to_grid(volume, SPEC)
    target = labels_to_grid(labels, volume, sample)
    back = scores_to_scan(one_hot(target, len(large) + 1), sample, volume)
    for label in range(1, len(large) + 1):
        assert dice(back == label, labels == label) > agreement
        shift = centre_ras(back == label, volume.ijk_to_ras) - centre_ras(labels == label, volume.ijk_to_ras)
        assert np.linalg.norm(shift) < max(volume.spacing)
    assert sample.inside[target > 0].mean() > 0.999


@needs_data
def test_a_real_scan_gives_the_same_grid_in_every_axis_order():
    """The same anatomy stored in other axis orders: the grid has the same HU at the same place."""
    import nibabel

    image = nibabel.load(DATA / "labelled" / "ts_abdomenpelvis_3mm_ct.nii.gz")
    array, shape = np.asarray(image.dataobj).astype(np.int16), image.shape
    first = to_grid(Volume(array.transpose(), image.affine), SPEC)
    for codes in ("LPS", "RAS", "PIR", "SAL", "IRA", "ASR"):
        turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(image.affine),
                                                   nibabel.orientations.axcodes2ornt(codes))
        turned = nibabel.apply_orientation(array, turn)
        affine = image.affine @ nibabel.orientations.inv_ornt_aff(turn, shape)
        other = to_grid(Volume(turned.transpose(), affine), SPEC)
        assert np.allclose(other.ijk_to_ras, first.ijk_to_ras, atol=3.01)  # the body box is found on a coarse copy
        if other.hu.shape == first.hu.shape and np.allclose(other.ijk_to_ras, first.ijk_to_ras):
            assert np.abs(other.hu - first.hu).max() < 0.1


def test_orientation_of_all_orders_is_exact():
    for order, flips in ALL_ORDERS:
        directions = np.zeros((3, 3))
        for array_axis, (patient_axis, sign) in enumerate(zip(order, flips, strict=True)):
            directions[patient_axis, array_axis] = sign
        matrix = np.eye(4)
        matrix[:3, :3] = directions * [1.0, 2.0, 3.0]
        found = orientation_of(matrix)
        turned = found.matrix(matrix, (5, 6, 7))[:3, :3]
        assert found.angle == pytest.approx(0, abs=1e-5) and found.shear == pytest.approx(0, abs=1e-5)
        assert (np.sign(turned[np.abs(turned) > 0]) == [-1, -1, 1]).all()
