"""Puts the four steps together."""

from UVLMTrainLib.DataPanel import DataPanel
from UVLMTrainLib.PlanPanel import PlanPanel
from UVLMTrainLib.ResultPanel import ResultPanel
from UVLMTrainLib.RunPanel import RunPanel


class TrainPanel:
    """Data, Plan, Run and Result over the widgets of the .ui."""

    def __init__(self, ui):
        self.plan, self.run, self.result = None, None, None
        self.data = DataPanel(ui, self._casesChanged)
        self.plan = PlanPanel(ui, self.data, self._runFolderChanged)
        self.run = RunPanel(ui, self.plan, self._runChanged)
        self.result = ResultPanel(ui, self.run)
        self.data.readTable()
        self._runFolderChanged()

    def enter(self):
        """The panel is shown again: what happened meanwhile stands in the run folder."""
        self.run.refresh()
        self.result.refresh()

    def cleanup(self):
        """Nothing of the panel stays; a run does."""
        for part in (self.data, self.plan, self.run, self.result):
            part.cleanup()

    def _casesChanged(self):
        if self.plan is not None:
            self.plan.refresh()

    def _runFolderChanged(self):
        if self.run is not None:
            self.run.open(self.plan.runFolder)

    def _runChanged(self):
        if self.result is not None:
            self.result.refresh()
