"""The curves of a run as Slicer's own plot: a table, a series per figure, a chart."""

import slicer
import vtk
from slicer.i18n import tr as _

COLOURS = ((0.12, 0.47, 0.71), (0.84, 0.37, 0.0), (0.17, 0.63, 0.17), (0.58, 0.40, 0.74), (0.55, 0.34, 0.29))
CHART, TABLE, SERIES = "vtkMRMLPlotChartNode", "vtkMRMLTableNode", "vtkMRMLPlotSeriesNode"


class CurvePlot:
    """One chart in the scene, filled anew with each call; nodes that the user deleted are made again.

    Args:
        title: of chart and table; also how the nodes are found again after a reload.
        key: attribute that marks them.
    """

    def __init__(self, title, key):
        self.title, self.key = title, key

    def show(self, steps, values):
        """Draws values over steps.

        Args:
            steps: list of numbers. values: {name: list of as many numbers}.
        """
        table, chart = self._node(TABLE), self._node(CHART)
        modified = table.StartModify()
        table.RemoveAllColumns()
        for name, numbers in {"step": steps, **values}.items():
            array = vtk.vtkDoubleArray()
            array.SetName(name)
            array.SetNumberOfValues(len(numbers))
            for place, number in enumerate(numbers):
                array.SetValue(place, number)
            table.AddColumn(array)
        table.EndModify(modified)
        wanted = [self._series(table, name, number) for number, name in enumerate(values)]
        if [chart.GetNthPlotSeriesNodeID(number) for number in range(chart.GetNumberOfPlotSeriesNodes())] != wanted:
            chart.RemoveAllPlotSeriesNodeIDs()
            for identity in wanted:
                chart.AddAndObservePlotSeriesNodeID(identity)

    def chart(self):
        """The chart node, None before the first `show`."""
        return self._find(CHART)

    def table(self):
        """The table node, None before the first `show`."""
        return self._find(TABLE)

    def bring(self):
        """Shows the chart in Slicer's layout, which gets a place for it where it has none."""
        if self.chart() is not None:
            slicer.modules.plots.logic().ShowChartInLayout(self.chart())

    def remove(self):
        """Takes the nodes out of the scene."""
        for node in [node for kind in (CHART, SERIES, TABLE) for node in slicer.util.getNodesByClass(kind)
                     if node.GetAttribute("UVLM.curve") == self.key]:
            slicer.mrmlScene.RemoveNode(node)

    def _find(self, kind, name=None):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetAttribute("UVLM.curve") == self.key and name in (None, node.GetName()):
                return node
        return None

    def _node(self, kind, name=None):
        node = self._find(kind, name)
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass(kind, name or self.title)
            node.SetAttribute("UVLM.curve", self.key)
            node.SetSaveWithScene(False)  # the run folder has it
            if kind == CHART:
                node.SetTitle(self.title)
                node.SetXAxisTitle(_("step"))
                node.SetLegendVisibility(True)
        return node

    def _series(self, table, name, number):
        series = self._node(SERIES, name)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName("step")
        series.SetYColumnName(name)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetLineStyle(slicer.vtkMRMLPlotSeriesNode.LineStyleSolid)
        few = table.GetNumberOfRows() < 30
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleCircle if few
                              else slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetColor(*COLOURS[number % len(COLOURS)])
        return series.GetID()
