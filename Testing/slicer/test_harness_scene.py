"""Scene, files, parameter nodes, the stand-ins that show nodes, dialogs, and what tests watch."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated

import ctk
import numpy as np
import pytest
import qt
import slicer
import vtk
from harness.watch import children
from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

ROOT = Path(__file__).resolve().parents[2]


def volume_with_mask():
    volume = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="CT")
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "masks")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    name = node.GetSegmentation().AddEmptySegment("liver", "Liver", [0.0, 1.0, 0.0])
    node.GetSegmentation().GetSegment(name).SetTag("UVLM.probability", "0.9")
    slicer.util.updateSegmentBinaryLabelmapFromArray((np.arange(24).reshape(2, 3, 4) % 2).astype(np.uint8), node, name,
                                                     volume)
    return volume, node


def test_a_scene_comes_back_from_an_mrb(scene, tmp_path):
    volume, _ = volume_with_mask()
    text = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", "report")
    text.SetText('{"state": "draft", "text": "größer"}')
    text.SetNodeReferenceID("volume", volume.GetID())
    path = str(tmp_path / "with space ü.mrb")
    assert slicer.util.saveScene(path)
    slicer.util.loadScene(path)  # adds to the scene, as in Slicer
    assert len(slicer.util.getNodesByClass("vtkMRMLTextNode")) == 2
    slicer.util.loadScene(path, {"clear": True})
    assert len(slicer.util.getNodesByClass("vtkMRMLTextNode")) == 1
    text = slicer.util.getNode("report")
    assert text.GetText() == '{"state": "draft", "text": "größer"}'
    again = text.GetNodeReference("volume")
    assert np.array_equal(slicer.util.arrayFromVolume(again), np.arange(24).reshape(2, 3, 4))
    segment = slicer.util.getNode("masks").GetSegmentation().GetSegment("liver")
    probability = vtk.mutable("")
    assert segment.GetName() == "Liver" and segment.GetTag("UVLM.probability", probability)
    assert str(probability) == "0.9"


def test_nodes_have_items_in_the_subject_hierarchy(scene, tmp_path):
    volume, masks = volume_with_mask()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(volume)
    assert item and hierarchy.GetItemName(item) == "CT"
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(masks), item)
    assert slicer.util.saveScene(str(tmp_path / "items.mrb"))
    slicer.mrmlScene.RemoveNode(volume)
    assert hierarchy.GetItemByDataNode(volume) == 0
    slicer.util.loadScene(str(tmp_path / "items.mrb"), {"clear": True})
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    item = hierarchy.GetItemByDataNode(slicer.util.getNode("masks"))
    assert hierarchy.GetItemParent(item) == hierarchy.GetItemByDataNode(slicer.util.getNode("CT"))
    assert hierarchy.GetNumberOfItems() == 2


def test_files_of_nodes(scene, tmp_path):
    volume, _ = volume_with_mask()
    path = tmp_path / "ct ü.nrrd"
    assert slicer.util.saveNode(volume, str(path))
    slicer.mrmlScene.Clear(0)
    again = slicer.util.loadVolume(str(path))
    assert again.GetName() == "ct ü" and slicer.util.arrayFromVolume(again).max() == 23
    with pytest.raises(RuntimeError, match="Failed to load"):
        slicer.util.loadVolume(str(tmp_path / "none.nrrd"))


def test_parameters_live_in_the_node_and_in_the_widgets(scene):
    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        threshold: Annotated[float, WithinRange(0, 10)] = 4.0
        method: Annotated[str, Choice(["a", "b"])] = "a"
        count: Annotated[int, Default(7)]
        flag: bool = True

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = Parameters(node)
    assert (parameters.volume, parameters.threshold, parameters.count, parameters.flag) == (None, 4.0, 7, True)
    volume, _ = volume_with_mask()
    parameters.volume = volume
    assert node.GetNodeReferenceID("volume") == volume.GetID() and node.GetParameter("flag") == "True"
    with pytest.raises(ValueError):
        parameters.threshold = 11.0
    panel, box = qt.QWidget(), None
    box = qt.QCheckBox(panel)
    box.setProperty("SlicerParameterName", "flag")
    tag = parameters.connectGui(panel)
    box.checked = False
    assert parameters.flag is False
    parameters.flag = True
    assert box.checked
    parameters.disconnectGui(tag)
    box.checked = False
    assert parameters.flag is True


def test_the_selector_filters(scene):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    volume, _ = volume_with_mask()
    assert selector.currentNode() is volume, "without None the first node is picked"
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0
    selector.showChildNodeTypes = True
    selector.addAttribute("vtkMRMLVolumeNode", "Modality", "CT")
    assert selector.nodeCount() == 0
    selector.removeAttribute("vtkMRMLVolumeNode", "Modality")
    assert selector.currentNodeID == volume.GetID()


def test_the_segments_table_and_the_segment_editor(scene):
    volume, node = volume_with_mask()
    table = slicer.qMRMLSegmentsTableView()
    table.setMRMLScene(slicer.mrmlScene)
    table.setSegmentationNode(node)
    node.GetSegmentation().AddEmptySegment("lesion", "Lesion", [1.0, 0.0, 0.0])
    assert table.displayedSegmentIDs() == ("liver", "lesion") and table.segmentCount == 2
    seen = []
    table.connect("selectionChanged(QItemSelection,QItemSelection)", lambda *given: seen.append(len(given)))
    table.setSelectedSegmentIDs(["lesion"])
    assert table.selectedSegmentIDs() == ("lesion",) and seen == [2]
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    editor.setSegmentationNode(node)
    editor.setSourceVolumeNode(volume)
    editor.setCurrentSegmentID("lesion")
    assert editor.currentSegmentID() == "lesion" and editor.sourceVolumeNode() is volume
    slicer.util.selectModule("Volumes")


def test_dialogs_are_answered(dialogs):
    dialogs.answer(qt.QMessageBox.Ok, qt.QMessageBox.No, "/a/file.txt", "Second")
    assert slicer.util.confirmOkCancelDisplay("Go on?") is True
    assert slicer.util.confirmYesNoDisplay("Really?") is False
    assert qt.QFileDialog.getOpenFileName(None, "Pick") == "/a/file.txt"
    box = qt.QMessageBox()
    box.setText("Which?")
    first, second = (box.addButton(text, qt.QMessageBox.ActionRole) for text in ("First", "Second"))
    box.exec_()
    assert box.clickedButton() == second and first is not second
    assert qt.QFileDialog.getExistingDirectory(None, "Pick") == "", "without an answer it is cancelled"
    slicer.util.errorDisplay("Something is wrong.")
    assert dialogs.texts == ["Go on?", "Really?", "", "Which?", "", "Something is wrong."]


def test_folders_are_picked(dialogs, tmp_path):
    button, seen = ctk.ctkDirectoryButton(), []
    button.connect("directoryChanged(QString)", seen.append)
    dialogs.answer(str(tmp_path))
    button.browse()
    line = ctk.ctkPathLineEdit()
    line.filters = ctk.ctkPathLineEdit.Dirs
    line.connect("currentPathChanged(QString)", seen.append)
    line.browse()  # cancelled
    line.currentPath = str(tmp_path)
    assert button.directory == line.currentPath == str(tmp_path) and seen == [str(tmp_path)] * 2


def test_a_number_stays_in_its_range():
    slider, seen = ctk.ctkSliderWidget(), []
    slider.connect("valueChanged(double)", seen.append)
    slider.maximum, slider.singleStep, slider.decimals = 1.0, 0.1, 1
    slider.value = 0.52
    slider.value = 7.0
    slider.setValue(1.0)
    assert (seen, slider.value, slider.maximum) == ([0.5, 1.0], 1.0, 1.0)


def test_a_section_collapses():
    section = ctk.ctkCollapsibleButton("Inputs")
    layout, label = qt.QVBoxLayout(section), qt.QLabel("content")
    layout.addWidget(label)
    seen = []
    section.connect("contentsCollapsed(bool)", seen.append)
    section.show()
    section.collapsed = True
    assert not label.visible and section.text == "Inputs"
    section.collapsed = False
    assert label.visible and seen == [True, False]
    section.close()


def test_an_error_display_tells_and_raises(dialogs):
    with pytest.raises(ZeroDivisionError), slicer.util.tryWithErrorDisplay("It failed."):
        _ = 1 / 0
    assert dialogs.texts == ["It failed.\n\ndivision by zero"]


def test_the_meter_sees_a_loop_that_stands_still(app, loopMeter):
    with loopMeter() as meter:
        app.processEvents(0.2)
    calm = meter.longest_own
    with loopMeter() as meter:
        qt.QTimer.singleShot(20, lambda: sum(i * i for i in range(2_000_000)))
        app.processEvents(0.5)
    assert meter.longest > 0.05 and meter.longest_own > max(0.04, 2 * calm)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="child processes are seen through /proc")
def test_children_are_seen():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
    time.sleep(0.1)
    assert child.pid in children()
    child.kill()
    child.wait()
    assert child.pid not in children()


def test_the_core_tests_do_without_slicer():
    """Testing/conftest.py and the core import neither Slicer's parts nor Qt."""
    code = ("import sys; sys.path.insert(0, 'Testing'); import conftest, uvlm_core.report.document; "
            "assert not {'slicer', 'vtk', 'PySide6', 'qt'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, timeout=120)
