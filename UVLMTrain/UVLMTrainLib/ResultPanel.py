"""Step Result: has the finished model measured, shows figures and worst cases, and hands it to UVLMReport."""

import os

import slicer
from slicer.i18n import tr as _

from UVLMShared import Settings
from UVLMShared.InSteps import InSteps
from UVLMTrainLib import ResultRows
from UVLMTrainLib import RunFolder as Run
from UVLMTrainLib.RowsTable import RowsTable
from UVLMTrainLib.RunPanel import ACTIVE
from UVLMTrainLib.WorstCases import WorstCases


class ResultPanel:
    """Fills the section Result.

    Args:
        runPanel: the RunPanel, whose run is shown.
    """

    def __init__(self, ui, runPanel):
        self.ui, self.runPanel = ui, runPanel
        self.shown, self._steps = None, None
        self.table = RowsTable(ui.resultTable, [_("What"), _("Before"), _("After"), _("Threshold"), _("Found"),
                                                _("False alarms")], (50, 46, 66, 46, 84))
        self.worst = WorstCases(ui, self._say)
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
        self.cleanup()
        self.shown = None
        self.table.show([])
        self.worst.show([])
        refused = finished and state == Run.FAILED and os.path.exists(run.file("comparison.json"))
        if state != Run.MEASURED and not refused:
            self.ui.resultRemark.text = self._why(finished, state)
            return
        self._steps = InSteps(ResultRows.reading(run), self._show, self._unreadable)

    def _why(self, finished, state):
        if state == Run.FAILED and finished:
            return _("The model was not made; the log of step 3 says why.")
        return _("Measure the model: thresholds and figures on new phantoms.") if finished else _(
            "Here stand the figures when the run has finished.")

    def _unreadable(self, error):
        self._say(_("The figures of this run cannot be read ({error}). Measure it again.").format(error=repr(error)))

    def _show(self, result):
        self.shown = result
        self.table.show(result["rows"], toolTip=lambda row: row[0])
        self.worst.show(result["worst"])
        if not result["info"]:
            self._say(_("The model was not made; the log of step 3 says why. Here is what it does on held-out cases."))
            return
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
        before = ""
        if self.runPanel.run.measuringFailed():
            before = _("The last measurement was stopped or failed, the log of step 3 says why; these are the figures "
                       "of the one before.") + " "
        self._say(f"{before}{head} {', '.join(parts)}.")

    def _say(self, text):
        self.ui.resultRemark.text = text

    def measure(self):
        """Starts `uvlm export` on the run; it is a run of its own kind and survives the panel too."""
        try:
            self.runPanel.run.measure(int(self.ui.casesSpinBox.value), self.ui.evenIfWorseCheckBox.checked)
        except (RuntimeError, OSError) as trouble:
            self.runPanel.refresh()
            self._say(str(trouble))
            return
        self.runPanel.refresh()

    def use(self):
        """Puts the model first in UVLMReport's list, chooses it there and opens that module."""
        bundle = self.runPanel.run.bundle()
        if bundle is None:
            self._say(_("The model is not in '{folder}' any more. Measure it again.").format(
                folder=self.runPanel.run.file("bundle")))
            return
        Settings.addRecentModel(bundle)
        if hasattr(slicer.modules, "uvlmreport"):
            # before it is shown: a panel that was open follows its parameter node when it is entered
            slicer.util.getModuleLogic("UVLMReport").getParameterNode().bundle = bundle
            slicer.util.selectModule("UVLMReport")
        self._say(_("'{folder}' is now the model of UVLM Report.").format(folder=bundle))
