"""UVLMTrain: from a data set on disk to a model that UVLMReport uses."""

import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from UVLMTrainLib.TrainJourneys import TrainJourneys
from UVLMTrainLib.TrainPanel import TrainPanel


class UVLMTrain(ScriptedLoadableModule):
    """The module's entry in Slicer's list."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("UVLM Train")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = []
        self.parent.contributors = ["UVLM contributors"]
        self.parent.helpText = _("""
<p>Trains U-VLM models: choose scans with masks and reports, or the cases that UVLM Report kept; see what is wrong with
them; plan, start, pause and resume a run; look at the figures and use the model in UVLM Report. A run goes on when the
panel or Slicer is closed, and can be written as a script for a cluster.</p>
<p><b>Research use only.</b> Not a medical device; not for diagnosis or treatment. Everything runs on this computer;
nothing is sent anywhere.</p>
<p>How it is used stands in the <a href="https://github.com/uvlm/SlicerUVLM#train-in-slicer">documentation</a>.</p>
""")
        self.parent.acknowledgementText = _("""
<p>The method is U-VLM (arXiv 2603.00479). The names of the findings are those of CT-RATE and AbdomenAtlas 3.0.</p>
<p><b>Research use only.</b></p>
""")


class UVLMTrainLogic(ScriptedLoadableModuleLogic):
    """Everything is in the run folder and in the parts of the panel; Slicer asks each module for a logic."""


class UVLMTrainWidget(ScriptedLoadableModuleWidget):
    """The panel: loads the .ui and hands its parts to the four steps."""

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        self.logic, self.panel = None, None

    def setup(self):
        """Called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/UVLMTrain.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = UVLMTrainLogic()
        self.panel = TrainPanel(self.ui)

    def cleanup(self):
        """Called before a reload and when the application closes: a run goes on, nothing else stays behind."""
        if self.panel is not None:
            self.panel.cleanup()
            self.panel = None

    def enter(self):
        """Called each time the user opens this module."""
        if self.panel is not None:
            self.panel.enter()

    def onReload(self):
        """Reloads the parts in UVLMTrainLib and UVLMShared too, which Slicer's own reload leaves as they are."""
        import sys

        for name in [name for name in sys.modules if name.partition(".")[0] in ("UVLMTrainLib", "UVLMShared")]:
            del sys.modules[name]
        ScriptedLoadableModuleWidget.onReload(self)


class UVLMTrainTest(TrainJourneys, ScriptedLoadableModuleTest):
    """The journeys of a user, on tiny phantoms with a tiny model and real child processes; see TrainJourneys."""
