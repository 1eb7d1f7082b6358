"""Every hard case of the shared data: the right volume, or its own clear sentence."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import center_of_mass

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.ct_check import check_ct
from uvlm_core.volumes.grid import GridSpec, scores_to_scan, to_grid
from uvlm_core.volumes.reading import input_hash, read_volume

DATA = Path(os.environ["UVLM_DATA"]) / "hard" if os.environ.get("UVLM_DATA") else None
pytestmark = pytest.mark.skipif(DATA is None, reason="hard cases: set UVLM_DATA to the folder of real scans")

REFUSED = {  # path -> words of the sentence; a VolumeError, or a no of check_ct
    "mr_abdomen_totalseg.nii.gz": ["looks like MR"],
    "niivue_ctp_rgb24.nii.gz": ["colour image (RGB)"],
    "pydicom_CT_small_single_slice.dcm": ["single slice"],
    "cs_transfer_syntaxes": ["same position"],
    "cs_transfer_syntaxes/CTImage.dcm": ["single slice"],
    "panimg_4d": ["4-D", "19 times"],
    "panimg_intercept": ["2 slices along one axis"],
    "rtutils_oblique_slope001": ["3 slices along one axis"],
    "d2n_ct_failing_series.tar.xz": ["archive", "Unpack"],
}
SERIES = {  # of the unpacked archive
    "gantrytilting/001": ["gantry was tilted", "14.0 degrees"],
    "notavolume/001": ["All 4 images", "same position"],
    "sliceincrement/001": ["1 slice is missing", "10.00 mm", "5.00 mm are expected", "instance 9", "instance 10"],
    "sliceincrement/002": ["gantry was tilted", "1 slice is missing", "1.50 mm", "0.75 mm"],
}


def sentence(path: Path) -> str:
    try:
        return check_ct(read_volume(path)).message
    except VolumeError as error:
        return str(error)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_its_own_sentence(name):
    before = input_hash(DATA / name)
    text = sentence(DATA / name)
    assert text and all(word in text for word in REFUSED[name]), text
    assert input_hash(DATA / name) == before


def test_the_archive_of_failing_series(tmp_path):
    """A tilted gantry, one position many times, a missing slice, and both tilt and gap."""
    with tarfile.open(DATA / "d2n_ct_failing_series.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    for name, words in SERIES.items():
        text = sentence(next(tmp_path.glob(f"*/{name}")))
        assert all(word in text for word in words), text


def test_no_two_cases_say_the_same():
    said = [sentence(DATA / name) for name in REFUSED if "CTImage" not in name]
    assert len(set(said)) == len(said)


def test_every_slice_of_the_transfer_syntaxes_is_refused_as_a_single_slice_or_by_its_syntax():
    for path in (DATA / "cs_transfer_syntaxes").iterdir():
        text = sentence(path)
        assert "single slice" in text or "no installed decoder" in text, text


def test_the_rescale_intercept_of_every_slice_is_applied():
    told = []
    volume = read_volume(DATA / "panimg_intercept", notify=told.append)
    assert volume.array[0].max() == 0 and np.allclose(volume.array[1], 0.01)
    assert len(told) == 1 and "different rescale values" in told[0]


def test_one_time_point_of_the_dynamic_study_can_be_chosen():
    volume = read_volume(DATA / "panimg_4d", series="1.1.1.1.1.1.11111.1.1.1.1111.1111.900000000000000000000000000004")
    assert volume.shape == (4, 2, 3) and volume.spacing == pytest.approx((0.5, 0.43, 0.43))


def test_the_oblique_series_has_its_place_and_its_values():
    volume = read_volume(DATA / "rtutils_oblique_slope001")
    assert volume.shape == (3, 50, 100) and volume.array.dtype == np.float32
    assert volume.spacing == pytest.approx((4.5, 3.5, 2.5), abs=0.01)
    assert np.allclose(volume.ijk_to_ras[:3, 3], [-123, 432, 30], atol=1e-4)
    row = np.array([-0.9541666, 0.2080757, 0.2151061])
    assert np.allclose(volume.ijk_to_ras[:3, 0], row * 2.5, atol=1e-4)
    assert volume.array.min() > -11 and volume.array.max() < 11  # stored -10000..10000 times 0.001


@pytest.mark.parametrize(("name", "axes"), [("tptbox_sub-ct_label-22_ct.nii.gz", "PIR"),
                                            ("ts_cta_cropped_fov_ct.nii.gz", "LPS")])
def test_cropped_cts_go_to_the_grid_and_back(name, axes):
    """A vertebra whose axes run posterior, inferior, right; a chest with the arms and the skin cut off."""
    import nibabel

    volume = read_volume(DATA / name)
    assert check_ct(volume).is_ct
    assert "".join(nibabel.aff2axcodes(volume.ijk_to_ras)) == axes
    sample = to_grid(volume, GridSpec())
    assert np.allclose(sample.ijk_to_ras[:3, :3], np.diag([-3, -3, 3]))
    bone = (sample.hu > 250).astype(np.float32)
    back = scores_to_scan(np.stack([1 - bone, bone]), sample, volume)
    assert back.shape == volume.shape
    assert volume.array[back == 1].mean() > 350 > 150 > volume.array[back == 0].mean()
    weights = np.maximum(volume.array, -1000) + 1000.0, np.maximum(sample.hu, -1000) + 1000.0
    scan, grid = (matrix @ [*center_of_mass(weight)[::-1], 1]
                  for matrix, weight in zip((volume.ijk_to_ras, sample.ijk_to_ras), weights, strict=True))
    assert np.linalg.norm(scan - grid) < 2.0  # the table is cropped away
