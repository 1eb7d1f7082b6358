"""Is it a CT? A yes for every real CT, however cropped; a no with its own reason for everything else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from uvlm_core.volumes.ct_check import check_ct
from uvlm_core.volumes.reading import read_volume
from uvlm_core.volumes.volume import Volume

DATA = Path(os.environ["UVLM_DATA"]) if os.environ.get("UVLM_DATA") else None
needs_data = pytest.mark.skipif(DATA is None, reason="real scans: set UVLM_DATA to their folder")
SHAPE = (40, 64, 64)
THICK = np.diag([-5.0, -5.0, 5.0, 1.0])


def ct(shape=SHAPE, noise=15.0) -> np.ndarray:
    """A body with fat, soft tissue, lung and bone in air."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[-1 : 1 : shape[1] * 1j, -1 : 1 : shape[2] * 1j]
    hu = np.full(shape, -1000.0)
    hu[:, (y / 0.7) ** 2 + (x / 0.9) ** 2 < 1] = -100
    hu[:, (y / 0.6) ** 2 + (x / 0.8) ** 2 < 1] = 40
    hu[:, ((y + 0.1) / 0.3) ** 2 + ((abs(x) - 0.4) / 0.2) ** 2 < 1] = -850
    hu[:, ((y - 0.4) / 0.1) ** 2 + (x / 0.1) ** 2 < 1] = 600
    return hu + rng.normal(0, noise, shape)


def volume(array, matrix=THICK, **meta) -> Volume:
    return Volume(np.asarray(array).astype(np.float32 if np.asarray(array).dtype.kind == "f" else np.int16), matrix,
                  meta=meta)


def test_a_ct_is_a_ct():
    for array in (ct(), np.rint(ct()).astype(np.int16), ct()[:, ::-1]):
        check = check_ct(volume(array, modality="CT"))
        assert check.is_ct and not check.reasons and not check.warnings and check.message == ""


def with_filling() -> np.ndarray:
    hu = ct()
    hu[:, :10], hu[:, -10:] = -2048, -3024
    return hu


def with_metal() -> np.ndarray:
    hu = ct()
    hu[10:12, 30:33, 30:33] = 30000
    return hu


@pytest.mark.parametrize("array", [with_filling(), with_metal(), ct(noise=80)], ids=["filling", "metal", "noise"])
def test_unusual_cts_are_cts(array):
    assert check_ct(volume(array)).is_ct


def test_a_small_cut_out_of_a_body_is_a_ct_with_a_warning():
    check = check_ct(volume(ct()[:, 18:46, 24:40], np.diag([-2.0, -2.0, 2.0, 1])))
    body = np.where(ct()[:, 18:46, 24:40] < -300, 40, ct()[:, 18:46, 24:40])
    body[:, :3] = -100
    check = check_ct(volume(body, np.diag([-2.0, -2.0, 2.0, 1])))
    assert check.is_ct and any("air" in text for text in check.warnings) and any("covers only" in text for text in
                                                                               check.warnings)


def test_a_display_window_in_hu_is_warned_of():
    check = check_ct(volume(np.clip(ct(), -160, 240)))
    assert check.is_ct and any("display window" in text for text in check.warnings)


def mr() -> np.ndarray:
    rng = np.random.default_rng(1)
    body = ct(noise=0) > -300
    return np.abs(np.where(body, 350, 5) + rng.normal(0, 1, SHAPE) * np.where(body, 120, 5))


def mm_in_metres() -> np.ndarray:
    return np.diag([-0.0007, -0.0007, 0.0025, 1.0])


NOT_A_CT = {
    "mr": (volume(mr()), "looks like MR"),
    "mr with ringing": (volume(mr() - 20), "looks like MR"),
    "eight bits": (volume(np.clip((ct() + 160) / 400 * 255, 0, 255)), "windowed to 8 bits"),
    "normalised": (volume(np.clip((ct() + 1000) / 2000, 0, 1)), "normalised"),
    "z-scored": (volume((ct() + 500) / 400), "normalised"),
    "constant": (volume(np.full(SHAPE, -1000)), "same value"),
    "zeros": (volume(np.zeros(SHAPE, np.int16)), "same value"),
    "filling only": (volume(np.full(SHAPE, -2048)), "nothing was imaged"),
    "offset forgotten": (volume(np.clip(np.rint(ct()) + 1024, 0, 4095)), "Subtract 1024"),
    "label map": (volume(np.where(ct(noise=0) > 0, 51, 0)), "label map"),
    "half air": (volume(np.where(np.indices(SHAPE).sum(0) % 2, -1000, -999.5)), "normalised"),
    "air and metal": (volume(np.where(np.indices(SHAPE).sum(0) % 9, -1000, 2500)), "tissues of a body"),
    "phase map": (volume(np.random.default_rng(2).uniform(-4096, 4096, SHAPE)), "outside -1400 to 4000"),
    "modality": (volume(ct(), modality="MR"), "modality is MR"),
    "few slices": (volume(ct()[:5]), "5 slices"),
    "one slice": (volume(ct()[:1]), "1 slices"),
    "thin slab": (volume(ct()[:20], np.diag([-5.0, -5.0, 0.5, 1.0])), "covers only 10"),
    "metres": (volume(ct(), mm_in_metres()), "another unit"),
    "micrometres": (volume(ct(), np.diag([700.0, 700.0, 2500.0, 1.0])), "another unit"),
}


@pytest.mark.parametrize("name", NOT_A_CT)
def test_what_is_no_ct_is_refused_with_the_reason(name):
    other, words = NOT_A_CT[name]
    check = check_ct(other)
    assert not check.is_ct and any(words in reason for reason in check.reasons), check
    assert words in check.message and "Choose" in check.message


@needs_data
@pytest.mark.parametrize("name", [
    "labelled/lidc0001_ct.nii.gz", "labelled/ts_abdomenpelvis_3mm_ct.nii.gz", "labelled/ts_cta_chest_1p5mm_ct.nii.gz",
    "hard/ts_cta_cropped_fov_ct.nii.gz", "hard/tptbox_sub-ct_label-22_ct.nii.gz"])
def test_real_cts_are_cts(name):
    scan = read_volume(DATA / name)
    check = check_ct(scan)
    assert check.is_ct and bool(check.warnings) == ("tptbox" in name)
    shifted = check_ct(Volume(np.clip(scan.array.astype(np.int32) + 1024, 0, 4095).astype(np.int16), scan.ijk_to_ras))
    assert not shifted.is_ct


@needs_data
@pytest.mark.parametrize("name", ["hard/mr_abdomen_totalseg.nii.gz", "labelled/lidc0001_totalseg.nii.gz",
                                  "labelled/ts_cta_chest_1p5mm_heart.nii.gz"])
def test_real_files_that_are_no_ct(name):
    assert not check_ct(read_volume(DATA / name)).is_ct
