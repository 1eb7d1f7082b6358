"""UVLMReport: load a CT, click "Generate report", correct masks and text."""

import slicer
import vtk
from slicer import vtkMRMLScalarVolumeNode
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin
from UVLMReportLib.Journeys import Journeys
from UVLMReportLib.PanelJourneys import PanelJourneys
from UVLMReportLib.ReportLogic import ReportLogic
from UVLMReportLib.ReportPanel import ReportPanel


class UVLMReport(ScriptedLoadableModule):
    """The module's entry in Slicer's list."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("UVLM Report")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["UVLM contributors"]
        self.parent.helpText = _("""
<p>Reads a chest or abdomen CT with a U-VLM model: masks of organs and lesions, a probability for each finding, and a
draft of the report whose sentences are linked to the masks. Correct masks and text; the measurements in the text
follow.</p>
<p><b>Research use only.</b> Not a medical device; not for diagnosis or treatment. Everything runs on this computer;
nothing is sent anywhere.</p>
<p>Sample scans are in the module Sample Data under UVLM. A tutorial and help with troubles are in the
<a href="https://github.com/uvlm/SlicerUVLM#in-3d-slicer">documentation</a>.</p>
""")
        self.parent.acknowledgementText = _("""
<p>The method is U-VLM (arXiv 2603.00479). The names of the findings are those of CT-RATE and AbdomenAtlas 3.0.</p>
<p><b>Research use only.</b></p>
""")
        slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData():
    """Adds the tutorial's CT to the module Sample Data."""
    from UVLMReportLib.SampleScans import register

    register()


@parameterNodeWrapper
class UVLMReportParameterNode:
    """What the user chose; saved with the scene.

    inputVolume: the CT to read. bundle: folder of the model, "" is the demo model.
    device: "auto", "cpu", "cuda", "mps". precision: "auto", "fp32", "bf16".
    """

    inputVolume: vtkMRMLScalarVolumeNode
    bundle: str = ""
    device: str = "auto"
    precision: str = "auto"


class UVLMReportLogic(ReportLogic):
    """See ReportLogic; here under the name that Slicer looks for."""

    def getParameterNode(self):
        return UVLMReportParameterNode(super().getParameterNode())


class UVLMReportWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: loads the .ui, hands its parts to the panel classes, and follows the scene."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic, self.panel = None, None
        self._parameterNode = None
        self._parameterNodeGuiTag = None

    def setup(self):
        """Called when the user opens the module for the first time, and by a reload."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/UVLMReport.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = UVLMReportLogic()
        self.panel = ReportPanel(self.ui, self.logic)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneEndImport)
        self.initializeParameterNode()
        if self.parent.isEntered:  # a reload calls no enter()
            self.panel.enter()

    def cleanup(self):
        """Called before a reload and when the application closes: no process and no observer stays behind."""
        try:
            if self._parameterNode:
                self._parameterNode.disconnectGui(self._parameterNodeGuiTag)  # its widgets are about to be deleted
                self._parameterNode = None
            self.removeObservers()
            if self.panel is not None:
                self.panel.cleanup()
        finally:  # the child is ended whatever became of the widgets
            if self.logic is not None:
                self.logic.shutdown()

    def enter(self):
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self.panel.enter()

    def exit(self):
        """Called each time the user opens a different module; a run goes on."""
        self.panel.leave()
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNodeGuiTag = None
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)

    def onReload(self):
        """Reloads the parts in UVLMReportLib and UVLMShared too, which Slicer's own reload leaves as they are."""
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] in ("UVLMReportLib", "UVLMShared")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event):
        """The parameter node is about to be reset."""
        self.setParameterNode(None)

    def onSceneEndClose(self, caller, event):
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event):
        """A scene was loaded: its studies are found again."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self):
        """Makes sure that there is a parameter node, with the first volume chosen."""
        self.setParameterNode(self.logic.getParameterNode())
        if not self._parameterNode.inputVolume:
            first = slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if first:
                self._parameterNode.inputVolume = first

    def setParameterNode(self, parameterNode):
        """Observes another parameter node, or none."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            if self.hasObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified):
                self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
        self._parameterNode = parameterNode
        self.panel.setParameterNode(parameterNode)
        if self._parameterNode:
            self._parameterNodeGuiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onParameterNodeModified)
            self.onParameterNodeModified()

    def onParameterNodeModified(self, caller=None, event=None):
        """Somebody chose another model, device or precision; volumes come through their selector."""
        self.panel.inputs.setParameterNode(self._parameterNode)


class UVLMReportTest(Journeys, PanelJourneys, ScriptedLoadableModuleTest):
    """The journeys of a user, on phantoms with the demo model and the real worker; see Journeys and PanelJourneys."""
