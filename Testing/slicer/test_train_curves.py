"""The curves of UVLMTrain in Slicer's layout."""

from __future__ import annotations


def test_show_brings_the_chart_as_often_as_the_layout_was_left(openModule):
    import slicer

    openModule("UVLMTrain")
    from UVLMTrainLib.CurvePlot import CurvePlot

    plot, manager = CurvePlot("Curves", "test"), slicer.app.layoutManager()
    plot.bring()  # nothing to show yet
    plot.show([1, 2, 3], {"loss": [3.0, 2.0, 1.5]})
    try:
        for _time in range(2):
            manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
            plot.bring()
            assert manager.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpPlotView
            assert manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNodeID() == plot.chart().GetID()
    finally:
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
