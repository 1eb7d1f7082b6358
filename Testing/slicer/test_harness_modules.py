"""A module is loaded, shown, left, reloaded and taken out as in Slicer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import slicer

SAMPLE = Path(__file__).parent / "sample_module" / "HarnessSample.py"


def add_volume(name: str = "CT", value: int = 50):
    return slicer.util.addVolumeFromArray(np.full((3, 4, 5), value, dtype=np.int16), name=name)


def test_a_module_opens_and_counts(openModule):
    widget = openModule(SAMPLE)
    volume = add_volume()
    assert widget.events == ["setup", "enter"]
    assert slicer.modules.HarnessSampleInstance.started
    assert slicer.modules.harnesssample.title == "Harness sample"
    assert slicer.util.modulePath("HarnessSample") == str(SAMPLE)
    widget.ui.inputSelector.setCurrentNode(volume)
    widget.ui.applyButton.click()
    assert widget.ui.resultLabel.text == "60 voxels"


def test_children_are_found_by_name_and_are_no_attributes():
    top = slicer.util.loadUI(str(SAMPLE.parent / "Resources" / "UI" / "HarnessSample.ui"))
    assert not hasattr(top, "applyButton")
    assert slicer.util.childWidgetVariables(top).applyButton.text == "Count"
    assert slicer.util.findChild(top, "thresholdSlider").value == 40


def test_the_selector_follows_the_scene(openModule):
    selector = openModule(SAMPLE).ui.inputSelector
    seen = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", lambda node: seen.append(node and node.GetName()))
    assert selector.currentNode() is None
    first, second = add_volume("A"), add_volume("B")
    assert selector.nodeCount() == 2 and selector.currentNode() is None
    selector.setCurrentNode(first)
    there = []
    selector.connect("currentNodeChanged(bool)", lambda some: there.append(bool(first.GetScene())))
    slicer.mrmlScene.RemoveNode(first)
    assert there == [True], "as in Slicer, the row goes before the node"
    assert selector.currentNode() is second, "as in Slicer, the list stays on its row"
    slicer.mrmlScene.Clear(0)
    assert selector.currentNodeID == ""
    assert seen == ["A", "B", None]


def test_leaving_and_entering(openModule):
    widget = openModule(SAMPLE)
    slicer.util.selectModule("Volumes")
    assert slicer.util.selectedModule() == "Volumes"
    slicer.util.selectModule("HarnessSample")
    assert widget.events == ["setup", "enter", "exit", "enter"]


def test_reload_makes_a_new_panel(openModule):
    old = openModule(SAMPLE)
    slicer.util.reloadScriptedModule("HarnessSample")
    new = slicer.modules.HarnessSampleWidget
    assert new is not old and old.events[-1] == "cleanup" and new.events == ["setup"]
    slicer.mrmlScene.Clear(0)
    assert old.events[-1] == "cleanup" and new.events[-1] == "scene closes"
    assert new.ui.applyButton.text == "Count"


def test_the_self_test_runs(openModule):
    openModule(SAMPLE)
    slicer.selfTests["HarnessSample"]()
