"""qMRMLPlotWidget and qMRMLPlotView: the chart of a plot view node, drawn by VTK's charts."""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtWidgets

from ..pythonqt import raw
from .mrml_widgets import SceneHolder
from .stand_in import stand_in
from .stored import stored
from .vtk_view import VtkView


@stand_in
class qMRMLPlotView(VtkView):
    """Lines and points of the series of a chart node; drawn anew each time."""

    vars().update(stored("qMRMLPlotView", title=""))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node: Any = None
        self._chart = vtk.vtkChartXY()
        self._actor = vtk.vtkContextActor()
        self._actor.GetScene().AddItem(self._chart)
        self._actor.GetScene().SetRenderer(self._renderer)
        self._renderer.AddActor(self._actor)
        self._renderer.SetBackground(1, 1, 1)

    def _managers(self) -> Any:
        return None

    def setMRMLPlotViewNode(self, node: Any) -> None:
        """Show what a plot view node says."""
        self._node = node

    def setMRMLScene(self, scene: Any) -> None:
        """The nodes know their scene."""

    def chart(self) -> Any:
        """vtkChartXY."""
        return self._chart

    def fitToContent(self) -> None:
        """Axes as wide as the data."""
        self._chart.RecalculateBounds()
        raw(self, "update")()

    def _chart_node(self) -> Any:
        return self._node.GetPlotChartNode() if self._node is not None else None

    def _draw(self) -> Any:
        chart = self._chart_node()
        self._chart.ClearPlots()
        if chart is not None:
            self._chart.SetTitle(chart.GetTitle() or "")
            self._chart.SetShowLegend(bool(chart.GetLegendVisibility()))
            for axis, text in ((vtk.vtkAxis.BOTTOM, chart.GetXAxisTitle()), (vtk.vtkAxis.LEFT, chart.GetYAxisTitle())):
                self._chart.GetAxis(axis).SetTitle(text or "")
            for index in range(chart.GetNumberOfPlotSeriesNodes()):
                self._add(chart.GetNthPlotSeriesNode(index))
        return super()._draw()

    def _add(self, series: Any) -> None:
        table = series.GetTableNode() if series is not None else None
        columns = (series.GetXColumnName(), series.GetYColumnName()) if table is not None else ()
        if table is None or not all(table.GetTable().GetColumnByName(name) for name in columns if name):
            return
        plot = self._chart.AddPlot(vtk.vtkChart.LINE)
        if columns[0]:
            plot.SetInputData(table.GetTable(), *columns)
        else:
            plot.SetUseIndexForXSeries(True)
            plot.SetInputData(table.GetTable(), columns[1], columns[1])
        plot.SetColorF(*series.GetColor())
        plot.SetWidth(series.GetLineWidth())
        plot.SetLabel(series.GetName())


@stand_in
class qMRMLPlotWidget(SceneHolder):
    """A plot view with its node."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._view = qMRMLPlotView()
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def plotView(self) -> qMRMLPlotView:
        """The picture."""
        return self._view

    def viewWidget(self) -> qMRMLPlotView:
        """The picture."""
        return self._view

    def mrmlPlotViewNode(self) -> Any:
        """The view node."""
        return self._view._node

    def mrmlAbstractViewNode(self) -> Any:
        """The view node."""
        return self._view._node

    def setMRMLPlotViewNode(self, node: Any) -> None:
        """Show what a plot view node says."""
        self._view.setMRMLPlotViewNode(node)

    def setMRMLAbstractViewNode(self, node: Any) -> None:
        """The same."""
        self._view.setMRMLPlotViewNode(node)
