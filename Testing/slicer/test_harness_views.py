"""Slice and 3-D views: what is drawn, where a click lands; main window and panel in one picture."""

from __future__ import annotations

import numpy as np
import pytest
import qt
import slicer
import vtk


@pytest.fixture()
def segmented(scene, app):
    """A grey volume of 40 x 50 x 60 voxels of 2 mm with a red block, shown in all views."""
    matrix = vtk.vtkMatrix4x4()
    for axis in range(3):
        matrix.SetElement(axis, axis, 2.0)
    volume = slicer.util.addVolumeFromArray(np.full((40, 50, 60), 100, np.int16), matrix, "grey")
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(200, 100)  # drawn at half brightness
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "masks")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    name = node.GetSegmentation().AddEmptySegment("block", "block", [1.0, 0.0, 0.0])
    mask = np.zeros((40, 50, 60), np.uint8)
    mask[10:30, 20:40, 15:45] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, name, volume)
    window = slicer.util.mainWindow()
    window.resize(900, 700)
    window.show()
    app.processEvents()
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    yield node
    window.hide()


def color(picture, view, ras):
    """The colour of a picture of a slice view at a point of the world."""
    x, y, _ = view.convertRASToXYZ(list(ras))
    found = qt.QColor(picture.toImage().pixel(round(x), picture.height() - 1 - round(y)))
    return found.red(), found.green(), found.blue()


@pytest.mark.usefixtures("rendering")
def test_a_slice_shows_the_mask_over_the_volume(segmented, output):
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    view.mrmlSliceNode().SetSliceOffset(40)
    picture = view.grab()
    picture.save(str(output / "harness_slice.png"))
    red, green, blue = color(picture, view, (60, 60, 40))
    assert red > green + 60 and abs(green - blue) < 5, "the mask lies over the grey"
    grey = color(picture, view, (10, 10, 40))
    assert max(grey) - min(grey) < 5 and 110 < grey[0] < 145
    segmented.GetDisplayNode().SetSegmentVisibility("block", False)
    assert abs(color(view.grab(), view, (60, 60, 40))[0] - grey[0]) < 5
    view.mrmlSliceNode().SetSliceOffset(10)  # below the block
    segmented.GetDisplayNode().SetSegmentVisibility("block", True)
    assert abs(color(view.grab(), view, (60, 60, 10))[0] - grey[0]) < 5


@pytest.mark.usefixtures("rendering")
def test_the_3d_view_shows_the_surface(segmented, output):
    segmented.CreateClosedSurfaceRepresentation()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    view.resetCamera()
    picture = view.grab()
    picture.save(str(output / "harness_3d.png"))
    middle = qt.QColor(picture.toImage().pixel(picture.width() // 2, picture.height() // 2))
    assert middle.red() > middle.green() + 80


@pytest.mark.usefixtures("rendering")
def test_the_main_window_in_one_picture(segmented, output):
    picture = slicer.util.mainWindow().grab()
    picture.save(str(output / "harness_window.png"))
    assert picture.width() == 900


@pytest.mark.usefixtures("rendering")
def test_a_chart_is_shown_in_a_layout_with_plots(scene, output):
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "losses")
    slicer.util.updateTableFromArray(table, np.array([[0.0, 5.0], [1.0, 2.0], [2.0, 1.0]]), ["epoch", "loss"])
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "loss")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("epoch")
    series.SetYColumnName("loss")
    series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
    series.SetColor(1.0, 0.0, 0.0)
    series.SetLineWidth(3)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "chart")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle("Loss")
    slicer.modules.plots.logic().ShowChartInLayout(chart)
    manager = slicer.app.layoutManager()
    view = manager.plotWidget(0).plotView()
    view.resize(320, 240)
    picture = view.grab()
    picture.save(str(output / "harness_plot.png"))
    image = picture.toImage()
    colors = [qt.QColor(image.pixel(x, y)) for x in range(0, picture.width()) for y in range(0, picture.height())]
    assert sum(c.red() > 200 and c.green() < 80 for c in colors) > 50, "the red line"
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)


@pytest.mark.parametrize("name", ["Red", "Green", "Yellow"])
def test_positions_there_and_back(segmented, name):
    widget = slicer.app.layoutManager().sliceWidget(name)
    widget.mrmlSliceNode().JumpSliceByCentering(50, 44, 36)
    view = widget.sliceView()
    x, y, _ = view.convertRASToXYZ([50, 44, 36])
    ras = view.convertXYZToRAS(view.convertDeviceToXYZ([round(x), round(y)]))
    assert np.allclose(ras, [50, 44, 36], atol=1.0)


def test_a_click_reaches_the_interactor(segmented):
    interactor = slicer.app.layoutManager().sliceWidget("Red").sliceView().interactor()
    seen, late = [], []
    tags = [interactor.AddObserver("LeftButtonPressEvent", lambda caller, event: late.append(event)),
            interactor.AddObserver("LeftButtonPressEvent", lambda caller, event: seen.append(
                caller.GetEventPosition()), 1.0)]
    slicer.util.clickAndDrag(slicer.app.layoutManager().sliceWidget("Red"), start=(30, 40), end=(30, 60), steps=3)
    for tag in tags:
        interactor.RemoveObserver(tag)
    assert seen == [(30, 40)]
    assert late == []  # the view's own style has used it


def test_a_click_of_qt_reaches_the_interactor(segmented):
    view = slicer.app.layoutManager().sliceWidget("Red").sliceView()
    seen = []
    tag = view.interactor().AddObserver("LeftButtonPressEvent", lambda caller, event: seen.append(
        caller.GetEventPosition()), 1.0)
    at = qt.QPointF(30, 40)
    slicer.app.sendEvent(view, qt.QMouseEvent(qt.QEvent.MouseButtonPress, at, at, qt.Qt.LeftButton, qt.Qt.LeftButton,
                                              qt.Qt.NoModifier))
    view.interactor().RemoveObserver(tag)
    assert seen == [(30, view.height - 41)]


def test_layout_and_views(scene):
    manager, seen = slicer.app.layoutManager(), []
    manager.connect("layoutChanged(int)", seen.append)
    manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    manager.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    manager.disconnect("layoutChanged(int)", seen.append)
    assert seen == [2, 3] and manager.sliceViewNames() == ("Red", "Green", "Yellow")
    assert manager.sliceWidget("Blue") is None
    assert len(slicer.util.getNodesByClass("vtkMRMLCameraNode")) == 1


def test_all_slices_jump_together(segmented):
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, 50, 44, 36, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
    for name in slicer.app.layoutManager().sliceViewNames():
        view = slicer.app.layoutManager().sliceWidget(name).sliceView()
        assert abs(view.convertRASToXYZ([50, 44, 36])[2]) < 1e-6, "the point lies in the plane"
