"""Step Run: start, pause, resume, stop; live curves, time left, the last lines of the log."""

import os

import qt
import slicer
from slicer.i18n import tr as _

from UVLMShared import Settings
from UVLMTrainLib import RunFolder as Run
from UVLMTrainLib.CurvePlot import CurvePlot
from UVLMTrainLib.MetricsReader import MetricsReader, columns, points, secondsPerStep
from UVLMTrainLib.Recipes import RecipeTrouble
from UVLMTrainLib.RunChild import PAUSE, STOP
from UVLMTrainLib.Wording import duration, plain, stageTitle

POLL_MILLISECONDS = 1000
ACTIVE = (Run.RUNNING, Run.PAUSING)
LOSS, VALIDATION = "loss", "validation"


class RunPanel:
    """Fills the section Run; follows the run folder with a timer.

    Args:
        plan: the PlanPanel. changed: called when the state of the run is another one.
    """

    def __init__(self, ui, plan, changed):
        self.ui, self.plan, self.changed = ui, plan, changed
        self.plot = CurvePlot(_("UVLM training"), "training")
        self.run, self.state, self._readers = None, None, {}
        for title, value in ((_("Loss"), LOSS), (_("Figures on held-out cases"), VALIDATION)):
            ui.curveSelector.addItem(title, value)
        ui.startButton.connect("clicked()", self.start)
        ui.pauseButton.connect("clicked()", lambda: self.ask(PAUSE))
        ui.stopButton.connect("clicked()", self._askStop)
        ui.showCurvesButton.connect("clicked()", self.showCurves)
        ui.curveSelector.connect("currentIndexChanged(int)", lambda index: self.draw())
        ui.curveStageSelector.connect("currentIndexChanged(int)", lambda index: self.draw())
        self._timer = qt.QTimer()
        self._timer.setInterval(POLL_MILLISECONDS)
        self._timer.connect("timeout()", self.refresh)
        self._soon = qt.QTimer()  # while there is more to read
        self._soon.setSingleShot(True)
        self._soon.connect("timeout()", self.refresh)

    def cleanup(self):
        """The panel goes; the run stays."""
        self._timer.stop()
        self._soon.stop()

    def open(self, path):
        """Follows the run in this folder, whoever started it."""
        if self.run is None or self.run.path != path:
            self.run, self._readers, self.state = Run.RunFolder(path), {}, None
            self.ui.curveStageSelector.clear()
            if self.plot.chart() is not None:
                self.plot.show([], {})  # the curves are another run's
            Settings.setValue("trainRunFolder", path)
        self.refresh()

    # ---- the user

    def start(self):
        """Starts the plan, or goes on with a run that was begun."""
        if not self.ui.runFolderEdit.text.strip():
            self.ui.runRemark.text = _("Choose a run folder in the plan first.")
            return
        self.open(self.plan.runFolder)  # it may have been typed without leaving the field
        try:
            self.run.refuseAtWork()  # before the plan is written into its folder
            self.run.train(self._arguments())
        except (RecipeTrouble, RuntimeError, OSError) as trouble:
            self.refresh()
            self.ui.runRemark.text = str(trouble)
            return
        self.refresh()

    def _arguments(self):
        """Of what was begun, as it was begun, wherever the plan stands now. After an error or a single stage the plan
        counts, as long as it is of the same recipe: the core refuses it in words where it does not fit what is there.
        """
        begun, planned = self.run.goOnArguments(), self.plan.recipe
        own = (self.run.recipe() or {}).get("name")
        if begun is None and self.state in (Run.PAUSED, Run.KILLED) and self.run.arguments():
            return self.run.arguments()  # it was ended before the core had written its recipe
        changed = self.state in (Run.FAILED, Run.PART) and planned is not None and planned.get("name") == own
        return begun if begun and not changed else self.plan.arguments()

    def ask(self, request):
        """Asks the run to pause or stop."""
        if self.state not in ACTIVE or self.run.isForeign():
            return
        try:
            self.run.ask(request)
        except OSError as trouble:
            self.ui.runRemark.text = _("The run cannot be told: {reason}. Make room on the disk of the run folder and "
                                       "try again.").format(reason=trouble.strerror or trouble)
            return
        self.refresh()

    def _askStop(self):
        if slicer.util.confirmOkCancelDisplay(
                _("Stop at once? Steps since the last checkpoint are lost; the run can still be resumed."),
                windowTitle=_("Stop the run")):
            self.ask(STOP)

    def showCurves(self):
        """Shows the plot among Slicer's views."""
        self.draw()
        self.plot.bring()

    # ---- following

    def refresh(self):
        """Looks at the run folder; called every second while a process works in it."""
        if self.run is None:
            return
        state, stages = self.run.state(), self.run.stages()
        begun = [stage for stage in stages if stage["begun"]]
        news, more = False, False
        for stage in begun:
            reader = self._readers.setdefault(stage["number"], MetricsReader(
                os.path.join(stage["folder"], Run.METRICS)))
            changed, unread = reader.read()
            news, more = news or changed, more or unread
        self._offerStages(begun)
        self._say(state, stages, begun)
        if news:
            self.draw()
        if more:
            self._soon.start(0)
        if state in ACTIVE and not self._timer.active:
            self._timer.start()
        if state not in ACTIVE:
            self._timer.stop()
        if state != self.state:
            self.state = state
            self.changed()

    def rows(self, number):
        """Rows of metrics.jsonl of a stage that were read so far."""
        return self._readers[number].rows if number in self._readers else []

    def _offerStages(self, begun):
        selector = self.ui.curveStageSelector
        while selector.count < len(begun):
            stage = begun[selector.count]
            latest = selector.currentIndex == selector.count - 1
            selector.addItem(_("Stage {number}: {title}").format(
                number=stage["number"], title=stageTitle(stage["kind"])), stage["number"])
            if latest:
                selector.setCurrentIndex(selector.count - 1)

    def draw(self):
        """Fills the plot with the chosen curves."""
        stage = self.ui.curveStageSelector.itemData(self.ui.curveStageSelector.currentIndex)
        if not stage:
            return
        validation = self.ui.curveSelector.itemData(self.ui.curveSelector.currentIndex) == VALIDATION
        rows = self.rows(stage)
        if validation:
            rows = [row for row in rows if any(name.startswith("validation_") for name in row)]
        names = columns(rows, validation)
        steps, values = points(rows, names)
        self.plot.show(steps, {plain(name): numbers for name, numbers in values.items()})

    def _say(self, state, stages, begun):
        command = self.run.command()
        active = state in ACTIVE
        resumable = state in (Run.PAUSED, Run.KILLED, Run.FAILED) and bool(self.run.arguments())
        finished = bool(stages) and stages[-1]["finished"]
        self.ui.startButton.enabled = not active and not finished
        self.ui.startButton.text = _("Resume") if resumable else _("Start")
        foreign = active and self.run.isForeign()
        self.ui.pauseButton.enabled = state == Run.RUNNING and not foreign
        self.ui.stopButton.enabled = active and not foreign
        self.ui.runStateLabel.text = _("Running. A script or another program started it, and can end it."
                                       ) if foreign else stateTitle(state, command)
        self.ui.logText.setVisible(state != Run.NONE)
        tail = self.run.logTail()
        if tail != self.ui.logText.plainText:
            self.ui.logText.plainText = tail
            bar = self.ui.logText.verticalScrollBar()
            bar.setValue(bar.maximum)
        whole = sum(stage["steps"] for stage in stages) or 1
        done = sum(stage["steps"] if stage["finished"] else self._step(stage) for stage in begun)
        self.ui.runProgress.setMaximum(whole)
        self.ui.runProgress.setValue(min(done, whole))
        self.ui.runRemark.text = self._progressText(stages, begun, active) if begun else (
            _("Preparing the cases…") if active else "")

    def _step(self, stage):
        rows = self.rows(stage["number"])
        return rows[-1]["step"] if rows else 0

    def _progressText(self, stages, begun, active):
        stage = begun[-1]
        rows = self.rows(stage["number"])
        text = _("Stage {number} of {count} ({title}): step {step} of {steps}").format(
            number=stage["number"], count=len(stages), title=stageTitle(stage["kind"]), step=self._step(stage),
            steps=stage["steps"])
        if rows and isinstance(rows[-1].get("loss"), (int, float)):
            text += _(", loss {loss:.3f}").format(loss=rows[-1]["loss"])
        each = secondsPerStep(rows)
        if active and each is not None and not stage["finished"]:
            left = duration((stage["steps"] - self._step(stage)) * each)
            text += _("; about {time} left in this stage").format(time=left)
        scores = [row["validation_score"] for row in rows if isinstance(row.get("validation_score"), (int, float))]
        if scores:
            text += _("; score {score:.3f}, best {best:.3f}").format(score=scores[-1], best=max(scores))
        return text + "."


def stateTitle(state, command):
    """The state of a run for a reader."""
    if state == Run.RUNNING and command == "export":
        return _("Measuring the model. It goes on when this panel or Slicer is closed.")
    titles = {
        Run.NONE: _("Not started."),
        Run.RUNNING: _("Running. It goes on when this panel or Slicer is closed."),
        Run.PAUSING: _("Ending after this step or case…"),
        Run.PAUSED: _("Paused. It goes on from there."),
        Run.KILLED: _("The process ended without a word (killed, or the computer was off). It goes on from its last "
                      "checkpoint."),
        Run.FAILED: _("Ended with an error; see the log."),
        Run.PART: _("This stage is finished. Choose the next one in the plan, then Start."),
        Run.TRAINED: _("Finished. Measure the model in the next step; another run needs another run folder."),
        Run.MEASURED: _("Finished and measured. Another run needs another run folder."),
    }
    return titles[state]
