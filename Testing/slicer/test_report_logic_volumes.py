"""Which volume nodes are read, why others are not, and what is said about those that are."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))

SHAPE = (24, 48, 48)
MATRIX = np.diag([-4.0, -4.0, 5.0, 1.0])


def hounsfield() -> np.ndarray:
    """A body of soft tissue with lungs, in air."""
    _k, j, i = np.indices(SHAPE) - np.array(SHAPE)[:, None, None, None] / 2
    values = np.where((i / 20) ** 2 + (j / 14) ** 2 < 1, 40, -1000)
    values[((abs(i) - 9) / 6) ** 2 + (j / 8) ** 2 < 1] = -850
    return (values + np.random.default_rng(0).normal(0, 15, SHAPE)).astype(np.int16)


@pytest.fixture()
def add(scene):
    import slicer
    from UVLMReportLib.SegmentationNodes import vtkMatrix

    def add_volume(array, name="CT", node_class="vtkMRMLScalarVolumeNode"):
        return slicer.util.addVolumeFromArray(np.ascontiguousarray(array), vtkMatrix(MATRIX), name, node_class)

    return add_volume


@pytest.mark.parametrize(("array", "node_class", "reason"), [
    (np.abs(np.random.default_rng(0).normal(300, 90, SHAPE)).astype(np.int16), "vtkMRMLScalarVolumeNode", "MR"),
    (np.clip((hounsfield() + 160) / 400 * 255, 0, 255).astype(np.uint8), "vtkMRMLScalarVolumeNode", "to 8 bits"),
    (hounsfield()[:1], "vtkMRMLScalarVolumeNode", "at least 8"),
    (hounsfield() + 1024, "vtkMRMLScalarVolumeNode", "rescale intercept"),
    ((hounsfield() > 0).astype(np.uint8), "vtkMRMLLabelMapVolumeNode", "label map"),
    (np.zeros((*SHAPE, 3), np.uint8), "vtkMRMLVectorVolumeNode", "3 values per voxel"),
    (np.zeros((*SHAPE, 5), np.int16), "vtkMRMLVectorVolumeNode", "5 values per voxel"),
], ids=["MR", "windowed", "slice", "no intercept", "labels", "RGB", "frames"])
def test_others_are_refused_by_name(add, array, node_class, reason):
    from UVLMReportLib.VolumeInput import refusalOf

    assert reason in refusalOf(add(array, "other", node_class))


def test_ct_is_read_unless_dicom_says_otherwise(add):
    from UVLMReportLib.VolumeInput import refusalOf, remarksOf

    node = add(hounsfield())
    assert (refusalOf(node), remarksOf(node)) == ("", [])
    node.SetAttribute("DICOM.Modality", "PT")
    assert "PT" in refusalOf(node)
    node.SetAttribute("DICOM.Modality", "CT")
    assert refusalOf(node) == ""
    assert "Choose" in refusalOf(None)


def test_values_that_change_are_looked_at_again(add):
    import slicer
    from UVLMReportLib.VolumeInput import refusalOf

    node = add(hounsfield())
    assert refusalOf(node) == ""
    slicer.util.updateVolumeFromArray(node, np.full(SHAPE, 7, np.int16))
    assert "same value" in refusalOf(node)


def test_sequence_shows_which_frame_is_read(add):
    import slicer
    from UVLMReportLib.VolumeInput import frameOf, remarksOf

    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4-D CT")
    for number in range(3):
        frame = add(hounsfield() + 10 * number, f"frame {number}")
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    proxy = add(hounsfield(), "shown")
    browser.AddProxyNode(proxy, sequence, False)
    browser.SetSelectedItemNumber(1)
    assert frameOf(proxy) == (1, 3, "4-D CT")
    assert any("Frame 2 of 3" in remark for remark in remarksOf(proxy))
    assert frameOf(add(hounsfield())) is None


def test_parent_transforms(add):
    import slicer
    from UVLMReportLib.VolumeInput import needsHardening, remarksOf

    node = add(hounsfield())
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    node.SetAndObserveTransformNodeID(transform.GetID())
    assert not needsHardening(node) and any("'moved'" in remark for remark in remarksOf(node))
    bent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLGridTransformNode", "bent")
    transform.SetAndObserveTransformNodeID(bent.GetID())
    assert needsHardening(node)


@pytest.mark.parametrize("kind", [np.int16, np.int32, np.float32, np.float64])
def test_array_for_the_worker(add, tmp_path, kind):
    """Type, order and geometry come through; the node may be deleted while its voxels are written."""
    import slicer
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.VolumeInput import Voxels, writing

    values = hounsfield().astype(kind)
    node = add(values, "Größe")
    steps = writing(Voxels(node), str(tmp_path / "ü.npy"))
    next(steps)
    slicer.mrmlScene.RemoveNode(node)
    del node
    volume = drained(steps)
    written = np.load(volume["array"], allow_pickle=False)
    assert written.dtype == kind and (written == values).all()
    assert volume["name"] == "Größe" and volume["ijk_to_ras"] == MATRIX.tolist()


def test_stopped_writing_leaves_no_file(add, tmp_path):
    from UVLMReportLib.VolumeInput import Voxels, writing

    steps = writing(Voxels(add(hounsfield())), str(tmp_path / "v.npy"))
    next(steps)
    steps.close()
    assert list(tmp_path.iterdir()) == []
