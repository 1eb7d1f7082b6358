"""DICOM folders: the right stack in HU at its place in the patient, or the reason why it is none."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from uvlm_core.errors import VolumeError
from uvlm_core.volumes.dicom_headers import scan_folder
from uvlm_core.volumes.dicom_pixels import PixelReader
from uvlm_core.volumes.reading import input_hash, list_series, read_volume

DATA = Path(os.environ["UVLM_DATA"]) if os.environ.get("UVLM_DATA") else None
needs_data = pytest.mark.skipif(DATA is None, reason="real scans: set UVLM_DATA to their folder")
ROWS, COLUMNS, SLICES = 6, 8, 10
STORED = np.random.default_rng(0).integers(0, 3000, (SLICES, ROWS, COLUMNS)).astype(np.uint16)
AXIAL = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))


def write_slice(path: Path, pixels: np.ndarray, position, series="1.2.3", orientation=AXIAL, **attributes) -> Path:
    """One CT slice; attributes override or, with None, remove what is usual."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, generate_uid()
    data.Modality, data.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SeriesNumber = "1.2", series, 3
    data.SeriesDescription, data.PatientID = "Thorax 1.0", "P1"
    data.ImagePositionPatient = [f"{value:.6f}" for value in position]
    data.ImageOrientationPatient = [f"{value:.6f}" for direction in orientation for value in direction]
    data.PixelSpacing, data.SliceThickness = [0.9, 0.7], 2.0
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
    data.RescaleSlope, data.RescaleIntercept = 1, -1024
    data.PixelData = pixels.tobytes()
    for name, value in attributes.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_series(folder: Path, count=SLICES, step=2.5, orientation=AXIAL, towards=None, skip=(), change=None,
                 prefix="", **attributes) -> Path:
    """Slices in shuffled file order; `towards` is the direction of stacking, `change(k)` attributes of slice k."""
    normal = np.cross(*orientation) if towards is None else np.asarray(towards)
    names = np.random.default_rng(1).permutation(count)
    for k in range(count):
        if k in skip:
            continue
        write_slice(folder / f"{prefix}{names[k]:03d}.dcm", STORED[k % SLICES], np.array([-10.0, -20.0, 30.0])
                    + normal * step * k, orientation=orientation,
                    **{"InstanceNumber": k + 1, **attributes, **(change(k) if change else {})})
    return folder


def message(path, **options) -> str:
    with pytest.raises(VolumeError) as caught:
        read_volume(path, **options)
    text = str(caught.value)
    assert text.endswith((".", "...")) and len(text) < 900
    return text


def test_slices_are_sorted_by_position_and_in_hu(tmp_path):
    """File names, instance numbers and the order of reading do not matter."""
    folder = write_series(tmp_path / "a", change=lambda k: {"InstanceNumber": (k * 7) % 10})
    (folder / "notes.txt").write_text("not a slice")
    volume = read_volume(folder)
    assert (volume.array == STORED.astype(int) - 1024).all() and volume.array.dtype == np.int16
    assert volume.spacing == pytest.approx((2.5, 0.9, 0.7))
    place = volume.ijk_to_ras @ [3, 2, 4, 1]  # column 3, row 2, slice 4: LPS (-10 + 3*0.7, -20 + 2*0.9, 30 + 4*2.5)
    assert np.allclose(place[:3], [10 - 2.1, 20 - 1.8, 40])
    assert volume.meta["modality"] == "CT" and volume.name == "Thorax 1.0"


def test_geometry_agrees_with_simpleitk(tmp_path):
    """Oblique slices: every corner lies where ITK's own DICOM reader puts it."""
    import SimpleITK

    a = np.radians(17)
    orientation = ((np.cos(a), 0.0, np.sin(a)), (0.0, 1.0, 0.0))
    folder = write_series(tmp_path / "a", orientation=orientation)
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image, volume = reader.Execute(), read_volume(folder)
    itk = SimpleITK.GetArrayFromImage(image)
    for index in ((0, 0, 0), (7, 0, 0), (0, 5, 0), (0, 0, 9), (7, 5, 9)):
        lps = image.TransformIndexToPhysicalPoint(index)
        ijk = np.rint(volume.ras_to_ijk @ [-lps[0], -lps[1], lps[2], 1])[:3].astype(int)
        assert np.allclose((volume.ijk_to_ras @ [*ijk, 1])[:3], [-lps[0], -lps[1], lps[2]], atol=1e-3)
        assert volume.array[tuple(ijk[::-1])] == itk[tuple(index[::-1])]


def test_rescale_of_every_slice_is_its_own(tmp_path):
    told = []
    folder = write_series(tmp_path / "a", change=lambda k: {"RescaleSlope": 1 + k % 2, "RescaleIntercept": -1000 - k})
    volume = read_volume(folder, notify=told.append)
    k = np.arange(SLICES)[:, None, None]
    assert (volume.array == STORED.astype(int) * (1 + k % 2) - 1000 - k).all()
    assert len(told) == 1 and "different rescale" in told[0]


def test_fractional_slopes_give_float32(tmp_path):
    volume = read_volume(write_series(tmp_path / "a", RescaleSlope="0.5", RescaleIntercept="-1000.25"))
    assert volume.array.dtype == np.float32 and np.allclose(volume.array, STORED * 0.5 - 1000.25)


def test_missing_rescale_is_told(tmp_path):
    told = []
    read_volume(write_series(tmp_path / "a", RescaleSlope=None, RescaleIntercept=None), notify=told.append)
    assert any("no rescale" in text for text in told)


def test_filling_with_an_odd_padding_value_is_marked(tmp_path):
    stored = STORED[0].copy()
    stored[0, :3] = 63536
    folder = write_series(tmp_path / "a", PixelData=stored.tobytes(), PixelPaddingValue=63536)
    assert (read_volume(folder).array[:, 0, :3] == -2048).all()


def test_the_largest_ct_series_of_a_tree_is_read_with_a_message(tmp_path):
    write_series(tmp_path / "study" / "b" / "large", series="1.2.4", SeriesNumber=4, SeriesDescription="Lung")
    write_series(tmp_path / "study" / "b" / "small", count=5, series="1.2.5", SeriesNumber=5, prefix="s")
    write_series(tmp_path / "study" / "mr", count=12, series="1.2.6", SeriesNumber=6, Modality="MR")
    told = []
    volume = read_volume(tmp_path, notify=told.append)
    assert volume.shape[0] == 10 and volume.meta["series_uid"] == "1.2.4"
    assert len(told) == 1 and "3 series" in told[0] and "'Lung'" in told[0] and "1.2.5" in told[0]
    assert [one.uid for one in list_series(tmp_path)] == ["1.2.4", "1.2.5", "1.2.6"]
    assert read_volume(tmp_path, series="1.2.5").shape[0] == 5
    assert read_volume(tmp_path, series="5").shape[0] == 5
    assert "no series 99" in message(tmp_path, series="99")
    assert "not a CT" in message(tmp_path, series="1.2.6")


def test_a_localiser_in_the_series_is_left_out(tmp_path):
    write_series(tmp_path, change=lambda k: {})
    write_slice(tmp_path / "scout.dcm", np.zeros((9, 9), np.uint16), (0, 0, 0), orientation=((0, 1, 0), (0, 0, -1)),
                ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    told = []
    assert read_volume(tmp_path, notify=told.append).shape == (10, 6, 8)
    assert "localiser" in told[0]


def test_slices_of_another_orientation_or_size_are_left_out(tmp_path):
    write_series(tmp_path)
    for k in range(3):
        write_slice(tmp_path / f"cor{k}.dcm", STORED[0], (0, k, 0), orientation=((1, 0, 0), (0, 0, -1)))
    write_slice(tmp_path / "large.dcm", np.zeros((20, 20), np.uint16), (0, 0, 200))
    told = []
    assert read_volume(tmp_path, notify=told.append).shape == (10, 6, 8)
    assert "3 series" in told[0]


def test_copies_of_a_slice_are_read_once(tmp_path):
    write_series(tmp_path / "a")
    (tmp_path / "a" / "copy.dcm").write_bytes((tmp_path / "a" / "003.dcm").read_bytes())
    told = []
    assert read_volume(tmp_path / "a", notify=told.append).shape[0] == 10
    assert "copies" in told[0]


def test_positions_rounded_by_the_scanner_are_no_gap(tmp_path):
    folder = write_series(tmp_path / "a", count=30, step=0.625,
                          change=lambda k: {"ImagePositionPatient": [-10, -20, round(30 + 0.625 * k, 1)]})
    assert read_volume(folder).spacing[0] == pytest.approx(0.625, abs=0.005)


def faulty(folder: Path) -> list[tuple[Path, list[str]]]:
    """(path, words of its message) for series that are no regular CT stack."""
    tilt = np.radians(15)
    rgb = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
           "PlanarConfiguration": 0, "PixelData": bytes(ROWS * COLUMNS * 3)}
    cut = write_series(folder / "cut")
    for path in cut.iterdir():
        path.write_bytes(path.read_bytes()[:-40])
    headless = write_series(folder / "headless")
    for path in headless.iterdir():
        path.write_bytes(path.read_bytes()[:300])
    unknown = write_series(folder / "unknown_syntax")
    for path in unknown.iterdir():
        data = pydicom.dcmread(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.102"
        data.PixelData = pydicom.encaps.encapsulate([b"\0\0\0\1" * 20])
        data["PixelData"].VR, data["PixelData"].is_undefined_length = "OB", True
        data.save_as(path)
    reports = folder / "reports"
    write_series(reports, count=2, Modality="SR", Rows=None, Columns=None, PixelData=None)
    gated = write_series(folder / "gated")
    write_series(folder / "gated", prefix="second", change=lambda k: {"InstanceNumber": 100 + k})
    twice = write_series(folder / "twice")
    write_slice(twice / "again.dcm", STORED[1], (-10, -20, 32.5), InstanceNumber=77)
    dynamic = folder / "dynamic"
    for point in range(3):
        write_series(dynamic, series=f"1.2.3.{point}", prefix=f"t{point}_", SeriesNumber=8)
    missing_path = write_series(folder / "missing", skip=(4,))
    return [
        (missing_path, ["1 slice is missing", "instance 4", "instance 6", "37.5 mm", "5.00 mm", "2.50 mm"]),
        (write_series(folder / "two_gaps", skip=(2, 6, 7)), ["3 slices are missing", "2 such gaps"]),
        (write_series(folder / "of_three", count=4, skip=(1,)), ["1 slice is missing"]),
        (write_series(folder / "tilted", orientation=((1, 0, 0), (0, np.cos(tilt), np.sin(tilt))), towards=(0, 0, 1)),
         ["gantry was tilted", "15.0 degrees", "dcm2niix"]),
        (write_series(folder / "uneven", change=lambda k: {"ImagePositionPatient": [0, 0, 2.5 * k + (k % 2)]}),
         ["unevenly spaced"]),
        (write_series(folder / "same_place", step=0.0), ["All 10 images", "same position"]),
        (gated, ["4-D series", "2 images at each of 10 positions"]),
        (twice, ["At 1 of 10 positions", "instance 77"]),
        (dynamic, ["4-D study", "3 times", "1.2.3.0"]),
        (write_series(folder / "single", count=1), ["single slice"]),
        (write_series(folder / "mr", Modality="MR"), ["no CT", "MR"]),
        (write_series(folder / "scouts", count=2, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]),
         ["only a localiser"]),
        (write_series(folder / "colour", **rgb), ["colour pictures"]),
        (write_series(folder / "capture", SOPClassUID=SecondaryCaptureImageStorage, ImagePositionPatient=None,
                      ImageOrientationPatient=None), ["secondary capture", "position, orientation missing"]),
        (write_series(folder / "no_spacing", PixelSpacing=None), ["pixel spacing missing"]),
        (write_series(folder / "zero_spacing", PixelSpacing=[0, 0.7]), ["pixel spacing", "above zero"]),
        (write_series(folder / "mixed_spacing", change=lambda k: {"PixelSpacing": [0.9 + 0.1 * (k > 5), 0.7]}),
         ["one spacing"]),
        (write_series(folder / "skewed", ImageOrientationPatient=[1, 0, 0, 0.5, 0.8, 0]), ["right angle"]),
        (write_series(folder / "z_map", RescaleType="Z_EFF"), ["Z_EFF", "dual-energy"]),
        (cut, ["damaged or cut off", ".dcm"]),
        (headless, ["10 files are damaged"]),
        (unknown, ["1.2.840.10008.1.2.4.102", "no installed decoder", "uncompressed"]),
        (reports, ["without a scan", "SR"]),
        (next(write_series(folder / "one_file").iterdir()), ["single slice", "folder of the whole series"]),
    ]


def test_every_faulty_series_has_its_own_sentence(tmp_path):
    said = {}
    for path, words in faulty(tmp_path):
        text = message(path)
        assert all(word in text for word in words), (path.name, text)
        assert path.name in text or ".dcm" in text
        said[path.name] = text.replace(path.name, "")
    assert len(set(said.values())) >= len(said) - 1  # a folder of one slice and one slice alone say the same


def test_a_damaged_slice_among_good_ones_is_named(tmp_path):
    """It leaves a gap; the message must name both, the gap and the file that could not be read."""
    folder = write_series(tmp_path / "a")
    victim = next(path for path in folder.iterdir() if pydicom.dcmread(path).InstanceNumber == 5)
    victim.write_bytes(victim.read_bytes()[:300])
    told = []
    with pytest.raises(VolumeError, match="1 slice is missing"):
        read_volume(folder, notify=told.append)
    assert victim.name in told[0]


def write_multiframe(path: Path) -> Path:
    """Enhanced CT: positions and rescale in functional groups, frames in any order."""
    order = np.random.default_rng(2).permutation(SLICES)
    frames = []
    for k in order:
        frame, position, value = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-10, -20, 30 + 2.5 * int(k)]
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = 1, -1000 - int(k), "HU"
        frame.PlanePositionSequence, frame.PixelValueTransformationSequence = [position], [value]
        frames.append(frame)
    shared, plane, measures = Dataset(), Dataset(), Dataset()
    plane.ImageOrientationPatient, measures.PixelSpacing = [1, 0, 0, 0, 1, 0], [0.9, 0.7]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [plane], [measures]
    return write_slice(path, STORED[0], (0, 0, 0), SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
                       NumberOfFrames=SLICES, PixelData=STORED[order].tobytes(), ImagePositionPatient=None,
                       ImageOrientationPatient=None, PixelSpacing=None, RescaleSlope=None, RescaleIntercept=None,
                       SharedFunctionalGroupsSequence=[shared], PerFrameFunctionalGroupsSequence=frames)


def test_a_multiframe_ct_is_read_like_single_slices(tmp_path):
    volume = read_volume(write_multiframe(tmp_path / "enhanced.dcm"))
    assert (volume.array == STORED.astype(int) - 1000 - np.arange(SLICES)[:, None, None]).all()
    assert volume.spacing == pytest.approx((2.5, 0.9, 0.7)) and volume.ijk_to_ras[2, 3] == 30


def test_the_folder_is_never_touched(tmp_path):
    folder = write_series(tmp_path / "a")
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}
    digest = input_hash(folder)
    read_volume(folder)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()} == before
    assert input_hash(folder) == digest


LOSSLESS_AND_LOSSY = {  # transfer syntax -> (largest, mean) difference in HU from the uncompressed slice
    "1.2": (0, 0), "1.2.1": (0, 0), "1.2.2": (0, 0), "1.2.1.99": (0, 0), "1.2.5": (0, 0), "1.2.4.57": (0, 0),
    "1.2.4.70": (0, 0), "1.2.4.80": (0, 0), "1.2.4.81": (1, 1), "1.2.4.90": (0, 0), "1.2.4.91": (6, 1),
    "1.2.4.50": (70, 25), "1.2.4.51": (40, 6), "1.2.4.53": (40, 6), "1.2.4.55": (40, 6),
}


@needs_data
@pytest.mark.parametrize("syntax", LOSSLESS_AND_LOSSY)
def test_one_slice_in_fifteen_transfer_syntaxes(syntax):
    """What an installed decoder reads has the HU of the uncompressed slice; the rest is named."""
    folder = DATA / "hard" / "cs_transfer_syntaxes"
    path = next(folder.glob(f"*_1.2.840.10008.{syntax}.dcm"))
    truth = PixelReader().hounsfield(scan_folder(folder / "CTImage.dcm").slices[0])
    header = scan_folder(path).slices[0]
    assert header.syntax == f"1.2.840.10008.{syntax}"
    try:
        difference = np.abs(PixelReader().hounsfield(header).astype(float) - truth)
    except VolumeError as error:
        assert header.syntax in str(error) and "Install" in str(error)
        assert syntax.startswith("1.2.4"), "uncompressed, deflated and run-length slices need no decoder"
        return
    largest, mean = LOSSLESS_AND_LOSSY[syntax]
    assert difference.max() <= largest and difference.mean() <= mean
