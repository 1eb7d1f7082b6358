"""Step Result: has the finished model measured, shows its figures, and hands it to UVLMReport."""

import slicer
from slicer.i18n import tr as _

from UVLMTrainLib import ResultRows, Settings
from UVLMTrainLib import RunFolder as Run
from UVLMTrainLib.InSteps import InSteps
from UVLMTrainLib.RowsTable import RowsTable
from UVLMTrainLib.RunPanel import ACTIVE


class ResultPanel:
    """Fills the section Result.

    Args:
        runPanel: the RunPanel, whose run is shown.
    """

    def __init__(self, ui, runPanel):
        self.ui, self.runPanel = ui, runPanel
        self.shown, self._steps = None, None
        self.table = RowsTable(ui.resultTable, [_("What"), _("Before"), _("After"), _("Threshold"), _("Found"),
                                                _("False alarms")], (46, 46, 62, 46, 74))
        ui.measureButton.connect("clicked()", self.measure)
        ui.useButton.connect("clicked()", self.use)

    def cleanup(self):
        if self._steps is not None:
            self._steps.stop()

    def refresh(self):
        """Called when the state of the run changed."""
        run, state = self.runPanel.run, self.runPanel.state
        stages = run.stages() if run is not None else []
        finished = bool(stages) and stages[-1]["finished"]
        self.ui.measureButton.enabled = finished and state not in ACTIVE
        self.ui.useButton.enabled = state == Run.MEASURED
        if state != Run.MEASURED:
            self.shown = None
            self.table.fill([])
            self.ui.resultRemark.text = self._why(finished, state)
            return
        self.cleanup()
        self._steps = InSteps(ResultRows.reading(run), self._show, lambda error: self._say(str(error)))

    def _why(self, finished, state):
        if state == Run.FAILED and finished:
            return _("The model was not made; the log of step 3 says why.")
        return _("Measure the model: thresholds and figures on new phantoms.") if finished else _(
            "Here stand the figures when the run has finished.")

    def _show(self, result):
        self.shown = result
        self.table.fill(result["rows"], [row[0] for row in result["rows"]])
        figures = result["figures"]
        head = _("{name} {version}, measured on {count} phantoms that it has not seen:").format(
            name=result["info"].get("name", ""), version=result["info"].get("version", ""),
            count=figures.get("cases", 0))
        parts = []
        for key, words in (("organ_dice", _("organ Dice {value:.3f}")),
                           ("lesion_dice_10mm", _("lesion Dice {value:.3f}")),
                           ("finding_macro_f1", _("findings F1 {value:.3f}")),
                           ("text_macro_f1", _("text F1 {value:.3f}"))):
            if isinstance(figures.get(key), (int, float)):
                parts.append(words.format(value=figures[key]))
        self._say(f"{head} {', '.join(parts)}.")

    def _say(self, text):
        self.ui.resultRemark.text = text

    def measure(self):
        """Starts `uvlm export` on the run; it is a run of its own kind and survives the panel too."""
        try:
            self.runPanel.run.measure(int(self.ui.casesSpinBox.value), self.ui.evenIfWorseCheckBox.checked)
        except (RuntimeError, OSError) as trouble:
            self._say(str(trouble))
            return
        self.runPanel.refresh()

    def use(self):
        """Puts the model first in UVLMReport's list and opens that module."""
        bundle = self.runPanel.run.bundle()
        if bundle is None:
            return
        Settings.addRecentModel(bundle)
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            if node.GetModuleName() == "UVLMReport":
                node.SetParameter("bundle", bundle)  # a report panel that is open already takes it
        if hasattr(slicer.modules, "uvlmreport"):
            slicer.util.selectModule("UVLMReport")
        self._say(_("'{folder}' is now the first model in UVLM Report.").format(folder=bundle))
