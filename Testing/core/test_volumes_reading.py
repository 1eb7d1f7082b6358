"""Reading and writing files: right HU, right geometry, and a sentence for everything that is no CT volume."""

from __future__ import annotations

import gzip
import hashlib
import os

import nibabel
import numpy as np
import pytest
import SimpleITK

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.reading import input_hash, read_volume
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap, write_volume

AFFINE = np.array([[-0.8, 0, 0, 90], [0, -0.9, 0, 80], [0, 0, 2.5, -300], [0, 0, 0, 1.0]])
SHAPE = (12, 14, 16)  # i, j, k


def numbers(dtype=np.int16) -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(dtype)


def save(path, array, affine=AFFINE, slope=None, intercept=None, sform=1, qform=0, change=None):
    image = nibabel.Nifti1Image(array, affine, dtype=array.dtype)
    image.header.set_sform(affine, sform)
    image.header.set_qform(affine, qform)
    if slope is not None:
        image.header.set_slope_inter(slope, intercept)
    if change:
        change(image.header)
    nibabel.save(image, path)
    return path


def raw_nifti(path, stored: np.ndarray, slope: float, intercept: float, sform: int = 1, change=None):
    """A file whose stored numbers and scl_slope are exactly these (nibabel would choose its own)."""
    header = nibabel.Nifti1Header()
    header.set_data_dtype(stored.dtype)
    header.set_data_shape(stored.shape)
    header.set_sform(AFFINE, sform)
    header["scl_slope"], header["scl_inter"], header["vox_offset"], header["magic"] = slope, intercept, 352, b"n+1"
    if change:
        change(header)
    data = header.binaryblock + b"\0" * 4 + stored.tobytes("F")
    path.write_bytes(gzip.compress(data) if path.name.endswith(".gz") else data)
    return path


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64, ">i2", ">f4"])
@pytest.mark.parametrize("name", ["scan.nii", "scan.nii.gz"])
def test_whole_numbers_of_any_type_become_int16(tmp_path, dtype, name):
    array = numbers(dtype)
    volume = read_volume(save(tmp_path / name, array))
    assert volume.array.dtype == np.int16 and volume.array.dtype.isnative
    assert (volume.array == array.transpose()).all()
    assert np.allclose(volume.ijk_to_ras, AFFINE)
    assert volume.spacing == pytest.approx((2.5, 0.9, 0.8))
    assert volume.shape == SHAPE[::-1]


def test_fractions_stay_float32(tmp_path):
    array = numbers(np.float64) + 0.25
    volume = read_volume(save(tmp_path / "scan.nii.gz", array))
    assert volume.array.dtype == np.float32 and np.allclose(volume.array, array.transpose())


@pytest.mark.parametrize(("dtype", "slope", "intercept"), [
    (np.uint16, 1, -1024), (np.int16, 2, -100), (np.int16, 0.5, 3), (np.uint8, 10, -1000), (np.float32, 1000, -5)])
def test_slope_and_intercept_are_applied_once(tmp_path, dtype, slope, intercept):
    stored = np.random.default_rng(1).integers(0, 200, SHAPE).astype(dtype)
    volume = read_volume(raw_nifti(tmp_path / "scan.nii.gz", stored, slope, intercept))
    assert np.allclose(volume.array, stored.transpose().astype(float) * slope + intercept)


@pytest.mark.parametrize("slope", [0.0, float("nan")])
def test_a_slope_of_zero_or_nan_means_none(tmp_path, slope):
    stored = numbers()
    assert (read_volume(raw_nifti(tmp_path / "scan.nii", stored, slope, 7)).array == stored.transpose()).all()


def test_nifti_2_pairs_and_wrong_suffixes_are_read(tmp_path):
    array = numbers()
    nibabel.save(nibabel.Nifti2Image(array, AFFINE), tmp_path / "two.nii.gz")
    nibabel.save(nibabel.Nifti1Pair(array, AFFINE), tmp_path / "pair.hdr")
    packed = gzip.compress((save(tmp_path / "plain.nii", array)).read_bytes())
    (tmp_path / "packed.nii").write_bytes(packed)
    (tmp_path / "noname").write_bytes(packed)
    for name in ("two.nii.gz", "pair.hdr", "pair.img", "packed.nii", "noname"):
        volume = read_volume(tmp_path / name)
        assert (volume.array == array.transpose()).all() and np.allclose(volume.ijk_to_ras, AFFINE), name


def test_several_gzip_members_are_one_file(tmp_path):
    """As pigz and bgzip write them."""
    data = save(tmp_path / "scan.nii", numbers()).read_bytes()
    (tmp_path / "scan.nii.gz").write_bytes(gzip.compress(data[:1000]) + gzip.compress(data[1000:]))
    assert (read_volume(tmp_path / "scan.nii.gz").array == numbers().transpose()).all()


def test_names_with_spaces_and_umlauts(tmp_path):
    folder = tmp_path / "Müller, Jörg – Thorax 1"
    folder.mkdir()
    save(folder / "Übersicht CT.nii.gz", numbers())
    image = SimpleITK.GetImageFromArray(numbers().transpose())
    SimpleITK.WriteImage(image, str(folder / "Übersicht CT.nrrd"))
    assert read_volume(folder / "Übersicht CT.nii.gz").shape == SHAPE[::-1]
    assert read_volume(str(folder / "Übersicht CT.nrrd")).shape == SHAPE[::-1]


def test_one_frame_of_a_4d_file_is_a_volume(tmp_path):
    array = numbers()
    assert (read_volume(save(tmp_path / "a.nii.gz", array[..., None])).array == array.transpose()).all()


@pytest.mark.parametrize("suffix", ["nrrd", "mha", "mhd"])
def test_nrrd_and_metaimage_have_the_geometry_of_nifti(tmp_path, suffix):
    """The same scan written by SimpleITK as NIfTI and in another format is the same Volume, oblique and left-handed."""
    angle = np.radians(12)
    direction = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, -1]])
    image = SimpleITK.GetImageFromArray(numbers().transpose())
    image.SetSpacing((0.8, 0.9, 2.5))
    image.SetOrigin((-90, -80, -300))
    image.SetDirection(direction.ravel())
    SimpleITK.WriteImage(image, str(tmp_path / "a.nii.gz"))
    SimpleITK.WriteImage(image, str(tmp_path / f"a.{suffix}"), True)
    one, other = read_volume(tmp_path / "a.nii.gz"), read_volume(tmp_path / f"a.{suffix}")
    assert (one.array == other.array).all() and other.array.dtype == np.int16
    assert np.allclose(one.ijk_to_ras, other.ijk_to_ras, atol=1e-4)


def test_notes_are_told_and_kept(tmp_path):
    def other_qform(header):
        header.set_qform(np.diag([1.0, 1.0, 1.0, 1.0]), 1)

    told = []
    volume = read_volume(save(tmp_path / "a.nii.gz", numbers(), change=other_qform), notify=told.append)
    assert len(told) == 1 and "disagree" in told[0] and volume.meta["notes"] == told
    told.clear()
    read_volume(raw_nifti(tmp_path / "b.nii.gz", numbers(), 1, 0, sform=0), notify=told.append)
    assert len(told) == 1 and "no orientation" in told[0]


def test_geometry_in_metres_is_brought_to_mm(tmp_path):
    affine = AFFINE.copy()
    affine[:3] /= 1000
    shape = (200, 200, 80)
    told = []
    path = save(tmp_path / "a.nii.gz", np.zeros(shape, np.int16), affine,
                change=lambda header: header.set_xyzt_units("meter"))
    assert read_volume(path, notify=told.append).spacing == pytest.approx((2.5, 0.9, 0.8), rel=1e-5)
    assert "metres" in told[0]


def broken_files(folder):
    """(path, words that its message must contain) for files that are no CT volume."""
    good = save(folder / "good.nii.gz", numbers())
    bytes_of = good.read_bytes()

    def written(name, data):
        (folder / name).write_bytes(data)
        return folder / name

    def with_header(name, change):
        return raw_nifti(folder / name, numbers(), 1, 0, change=change)

    nan = numbers(np.float32)
    nan[3, 3, 3] = np.nan
    rgb = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    sheared_flat = AFFINE.copy()
    sheared_flat[:3, 1] = sheared_flat[:3, 0]
    zero = AFFINE.copy()
    zero[2, 2] = 0
    image = SimpleITK.GetImageFromArray(numbers().transpose())
    SimpleITK.WriteImage(image, str(folder / "good.nrrd"), True)
    SimpleITK.WriteImage(SimpleITK.JoinSeries([image, image]), str(folder / "four.nrrd"))
    SimpleITK.WriteImage(SimpleITK.Compose([image] * 3), str(folder / "vector.mha"))
    nibabel.save(nibabel.AnalyzeImage(numbers(), None), folder / "analyze.hdr")
    (folder / "empty").mkdir()
    (folder / "nifti").mkdir()
    save(folder / "nifti" / "one.nii.gz", numbers())
    (folder / "text").mkdir()
    (folder / "text" / "notes.txt").write_text("hello")
    many = raw_nifti(folder / "plain.nii", numbers(), 1, 0).read_bytes()
    return [
        (folder / "nowhere.nii.gz", "no file or folder"),
        (written("cut.nii.gz", bytes_of[: len(bytes_of) // 2]), "cut off"),
        (written("cut_a_little.nii.gz", bytes_of[:-4]), "cut off"),
        (written("header_only.nii", many[:352]), "cut off"),
        (written("cut.nii", many[:-100]), "cut off"),
        (written("flipped.nii.gz", bytes_of[:200] + bytes([bytes_of[200] ^ 255]) + bytes_of[201:]), "damaged"),
        (written("text.nii.gz", b"Dear colleague, please find attached"), "not a NIfTI"),
        (written("empty.nii.gz", b""), "empty"),
        (written("short.nii", b"\x5c\x01\0\0"), "not a NIfTI"),
        (written("zipped.nii.gz", gzip.compress(b"not a scan at all" * 100)), "not a NIfTI"),
        (written("scan.zip", b"PK\x03\x04 rest"), "archive"),
        (written("scan.tar.gz", gzip.compress(b"x")), "archive"),
        (written("renamed_zip.dcm", b"PK\x03\x04 rest" * 50), "archive"),
        (written("page.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 500), "picture"),
        (written("what.bin", b"\x01\x07" * 400), "unknown kind"),
        (written("half.nrrd", (folder / "good.nrrd").read_bytes()[:900]), "damaged, cut off"),
        (written("text.nrrd", b"hello"), "damaged, cut off"),
        (folder / "four.nrrd", "4-D"),
        (folder / "vector.mha", "3 values per voxel"),
        (folder / "analyze.hdr", "Analyze"),
        (save(folder / "nan.nii.gz", nan), "not numbers"),
        (save(folder / "rgb.nii.gz", rgb), "colour"),
        (save(folder / "complex.nii.gz", numbers().astype(np.complex64)), "complex64"),
        (save(folder / "frames.nii.gz", np.stack([numbers()] * 3, -1)), "3 frames"),
        (save(folder / "flat.nii.gz", numbers()[:, :, 0]), "three dimensions"),
        (with_header("zero.nii.gz", lambda h: h.set_sform(zero, 1)), "voxel size"),
        (with_header("parallel.nii.gz", lambda h: h.set_sform(sheared_flat, 1)), "voxel size"),
        (with_header("nan_affine.nii.gz", lambda h: h["srow_x"].__setitem__(0, np.nan)), "voxel size"),
        (save(folder / "huge.nii.gz", numbers(np.int64) + 2**40), "no HU numbers"),
        (folder / "empty", "empty"),
        (folder / "nifti", "one.nii.gz"),
        (folder / "text", "none of its 1 files"),
    ]


def test_every_broken_file_has_its_own_sentence(tmp_path):
    """A VolumeError that names the file and says what to do, whatever is wrong; no other exception, no guess."""
    sentences = {}
    for path, words in broken_files(tmp_path):
        try:
            read_volume(path)
            text = "was read"
        except VolumeError as error:
            text = str(error)
        assert words in text and path.name in text, (path.name, text)
        assert text.endswith((".", "?")) and "Traceback" not in text and 40 < len(text) < 500, text
        sentences[path.name] = text
    assert len(set(sentences.values())) == len(sentences)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_read_permission(tmp_path):
    path = save(tmp_path / "a.nii.gz", numbers())
    path.chmod(0)
    with pytest.raises(VolumeError, match="permission"):
        read_volume(path)


def test_the_input_is_never_touched(tmp_path):
    paths = [save(tmp_path / "a.nii.gz", numbers()), tmp_path / "b.nrrd"]
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(numbers().transpose()), str(paths[1]))
    before = [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    for path in paths:
        read_volume(path).array[:] = 0
        input_hash(path)
    assert before == [(path.read_bytes(), path.stat().st_mtime_ns) for path in paths]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nii.gz", "b.nrrd"]


def test_the_hash_is_that_of_the_bytes(tmp_path):
    (tmp_path / "b").write_bytes(b"two")
    (tmp_path / "a").write_bytes(b"one")
    assert input_hash(tmp_path / "a") == hashlib.sha256(b"one").hexdigest()
    assert input_hash(tmp_path) == hashlib.sha256(b"onetwo").hexdigest()
    with pytest.raises(VolumeError):
        input_hash(tmp_path / "c")


@pytest.mark.parametrize("name", ["out.nii.gz", "out.nii"])
def test_written_label_maps_are_read_back_and_equal_bytes(tmp_path, name):
    labels = np.random.default_rng(2).integers(0, 34, SHAPE[::-1]).astype(np.uint8)
    like = Volume(np.zeros(labels.shape, np.int16), AFFINE)
    path = write_labelmap(tmp_path / name, labels, like)
    first = path.read_bytes()
    write_labelmap(tmp_path / name, labels, like)
    assert path.read_bytes() == first and [file.name for file in tmp_path.iterdir()] == [name]
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.uint8 and (np.asarray(image.dataobj) == labels.transpose()).all()
    assert np.allclose(image.affine, AFFINE) and np.allclose(image.get_qform(), AFFINE, atol=1e-4)
    itk = SimpleITK.ReadImage(str(path))
    place = (AFFINE @ [2, 3, 4, 1])[:3] * [-1, -1, 1]  # RAS to ITK's LPS
    assert np.allclose(itk.TransformIndexToPhysicalPoint((2, 3, 4)), place, atol=1e-4)


def test_written_volumes_come_back_exactly(tmp_path):
    sheared = AFFINE.copy()
    sheared[1, 2] = 0.7
    for values in (numbers(), numbers(np.float32) + 0.5):
        write_volume(tmp_path / "a.nii.gz", Volume(values.transpose(), sheared))
        volume = read_volume(tmp_path / "a.nii.gz")
        assert (volume.array == values.transpose()).all() and volume.array.dtype == values.dtype
        assert np.allclose(volume.ijk_to_ras, sheared, atol=1e-5)


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path):
    like = Volume(np.zeros((3, 4, 5), np.int16), AFFINE)
    with pytest.raises(VolumeError, match="must agree"):
        write_labelmap(tmp_path / "a.nii.gz", np.zeros((3, 4, 6), np.uint8), like)
    with pytest.raises(VolumeError, match="0 to 255"):
        write_labelmap(tmp_path / "a.nii.gz", np.full((3, 4, 5), 300, np.int16), like)
    with pytest.raises(VolumeError, match="cannot be written"):
        write_volume(tmp_path / "no" / "folder" / "a.nii.gz", like)
    with pytest.raises(VolumeError, match=r"nii\.gz"):
        write_volume(tmp_path / "a.png", like)
    assert not list(tmp_path.iterdir())


def test_a_volume_refuses_geometry_that_is_none():
    with pytest.raises(VolumeError, match="3 dimensions"):
        Volume(np.zeros((2, 3)), np.eye(4))
    with pytest.raises(VolumeError, match="no inverse"):
        Volume(np.zeros((2, 3, 4)), np.diag([1.0, 1, 0, 1]))
    with pytest.raises(VolumeError, match="finite"):
        Volume(np.zeros((2, 3, 4)), np.full((4, 4), np.nan))
