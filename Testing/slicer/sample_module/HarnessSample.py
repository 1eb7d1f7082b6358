"""A small module in the style of Slicer's template; the tests of the harness open it."""

import logging

import slicer
import vtk
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin


class HarnessSample(ScriptedLoadableModule):
    """The module as the application lists it."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Harness sample")
        self.parent.categories = ["Testing"]
        self.parent.contributors = ["UVLM"]
        self.parent.helpText = _("Counts the voxels above a threshold.")
        slicer.app.connect("startupCompleted()", self.onStartup)
        self.started = False

    def onStartup(self):
        self.started = True


class HarnessSampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.events = []

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath("UI/HarnessSample.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = HarnessSampleLogic()
        self.ui.applyButton.connect("clicked(bool)", self.onApply)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneClose)
        self.events.append("setup")

    def enter(self):
        self.events.append("enter")

    def exit(self):
        self.events.append("exit")

    def cleanup(self):
        self.removeObservers()
        self.events.append("cleanup")

    def onSceneClose(self, caller, event):
        self.events.append("scene closes")

    def onApply(self):
        count = self.logic.count(self.ui.inputSelector.currentNode(), self.ui.thresholdSlider.value)
        self.ui.resultLabel.text = _("{count} voxels").format(count=count)


class HarnessSampleLogic(ScriptedLoadableModuleLogic):
    """What is counted."""

    def count(self, volumeNode, threshold):
        logging.debug("counting in %s", volumeNode.GetName())
        return int((slicer.util.arrayFromVolume(volumeNode) >= threshold).sum())


class HarnessSampleTest(ScriptedLoadableModuleTest):
    """The self test."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_count()

    def test_count(self):
        image = vtk.vtkImageData()
        image.SetDimensions(2, 2, 2)
        image.AllocateScalars(vtk.VTK_SHORT, 1)
        image.GetPointData().GetScalars().Fill(5)
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "V")
        node.SetAndObserveImageData(image)
        self.delayDisplay("counting")
        self.assertEqual(HarnessSampleLogic().count(node, 5), 8)
