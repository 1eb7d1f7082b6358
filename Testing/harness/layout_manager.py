"""`slicer.app.layoutManager()`: slice and 3-D views by real layout logic."""

from __future__ import annotations

import math
from typing import Any

import vtk
from PySide6 import QtCore, QtWidgets

from .properties import StandInProperty
from .signals import QtSignal
from .stand_ins.plot_view import qMRMLPlotWidget
from .stand_ins.slice_view import qMRMLSliceWidget
from .stand_ins.three_d_view import qMRMLThreeDWidget

FOUR_UP = 3


class qSlicerLayoutManager(QtCore.QObject):
    """The views that the layout asks for, in a grid."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, mrml: Any) -> None:
        super().__init__()
        self._mrml = mrml
        self._logic = _slicer().vtkMRMLLayoutLogic()
        self._logic.SetMRMLApplicationLogic(mrml.application)
        self._logic.SetMRMLScene(mrml.scene)
        self._node = self._logic.GetLayoutNode()
        self._node.SetViewArrangement(FOUR_UP)
        self._viewport = QtWidgets.QWidget()
        self._viewport.setObjectName("LayoutViewport")
        self._grid = QtWidgets.QGridLayout(self._viewport)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(1)
        self._slices: dict[str, qMRMLSliceWidget] = {}
        self._three_d: list[qMRMLThreeDWidget] = []
        self._plots: list[qMRMLPlotWidget] = []
        self._widgets: dict[str, QtWidgets.QWidget] = {}  # by ID of the view node
        self._slice_logics, self._view_logics = vtk.vtkCollection(), vtk.vtkCollection()
        mrml.application.SetSliceLogics(self._slice_logics)
        mrml.application.SetViewLogics(self._view_logics)
        self._place()
        self._arrangement = FOUR_UP
        self._node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._arranged())
        scene = mrml.scene
        scene.AddObserver(scene.EndCloseEvent, lambda caller, event: self._after_close())

    def _place(self) -> None:
        """The views of the layout side by side, the others hidden. Real layouts have other shapes."""
        for widget in self._widgets.values():
            self._grid.removeWidget(widget)
            widget.hide()
        nodes = self._logic.GetViewNodes()
        shown = [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]
        columns = math.ceil(math.sqrt(len(shown)))
        for index, node in enumerate(shown):
            if node.GetID() not in self._widgets:
                self._widgets[node.GetID()] = self._make(node)
            self._grid.addWidget(self._widgets[node.GetID()], *divmod(index, columns))
            self._widgets[node.GetID()].show()

    def _make(self, node: Any) -> QtWidgets.QWidget:
        """The view of a node, with its logic."""
        if node.IsA("vtkMRMLSliceNode"):
            logic = self._logic_of(_slicer().vtkMRMLSliceLogic)
            logic.SetSliceNode(node)
            widget = self._slices[node.GetLayoutName()] = qMRMLSliceWidget()
            widget._show(logic)
            self._slice_logics.AddItem(logic)
        elif node.IsA("vtkMRMLViewNode"):
            logic = self._logic_of(_slicer().vtkMRMLViewLogic)
            logic.AddViewNode(node.GetLayoutName())
            widget = qMRMLThreeDWidget()
            widget._show(logic, node)
            self._three_d.append(widget)
            self._view_logics.AddItem(logic)
            self._add_camera(node)
        elif node.IsA("vtkMRMLPlotViewNode"):
            widget = qMRMLPlotWidget()
            widget.setMRMLPlotViewNode(node)
            self._plots.append(widget)
        else:
            return QtWidgets.QWidget()
        widget.setMRMLScene(self._mrml.scene)
        widget.setObjectName(f"{widget.className()}{node.GetLayoutName()}")
        return widget

    def _logic_of(self, kind: Any) -> Any:
        logic = kind()
        logic.SetMRMLApplicationLogic(self._mrml.application)
        logic.SetMRMLScene(self._mrml.scene)
        return logic

    def _add_camera(self, node: Any) -> None:
        camera = self._mrml.scene.AddNewNodeByClass("vtkMRMLCameraNode", "Camera")
        camera.SetLayoutName(node.GetLayoutName())

    def _after_close(self) -> None:
        for widget in self._three_d:
            if widget._view.cameraNode() is None:
                self._add_camera(widget.mrmlViewNode())

    def _arranged(self) -> None:
        if self._node.GetViewArrangement() != self._arrangement:
            self._arrangement = self._node.GetViewArrangement()
            self._place()
            self.layoutChanged.emit(self._arrangement)

    # as in Slicer

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._mrml.scene

    def layoutLogic(self) -> Any:
        """vtkMRMLLayoutLogic."""
        return self._logic

    def viewport(self) -> QtWidgets.QWidget:
        """The widget that holds the views."""
        return self._viewport

    def sliceViewNames(self) -> tuple[str, ...]:
        """The names of the slice views."""
        return tuple(self._slices)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        """A slice view by its name, None where there is none."""
        return self._slices.get(name)

    def threeDWidget(self, which: int | str) -> qMRMLThreeDWidget | None:
        """A 3-D view by number or name."""
        if isinstance(which, str):
            return next((w for w in self._three_d if w.mrmlViewNode().GetLayoutName() == which), None)
        return self._three_d[which] if which < len(self._three_d) else None

    def plotWidget(self, number: int) -> qMRMLPlotWidget | None:
        """A plot view by number."""
        return self._plots[number] if number < len(self._plots) else None

    def viewWidget(self, node: Any) -> Any:
        """The view of a node."""
        return self._widgets.get(node.GetID())

    def mrmlSliceLogics(self) -> Any:
        """All slice logics."""
        return self._slice_logics

    def mrmlViewLogics(self) -> Any:
        """All logics of 3-D views."""
        return self._view_logics

    def activeMRMLThreeDViewNode(self) -> Any:
        """The view node of the 3-D view."""
        return self._three_d[0].mrmlViewNode()

    def setLayout(self, arrangement: int) -> None:
        """Another layout."""
        self._node.SetViewArrangement(arrangement)

    def resetSliceViews(self) -> None:
        """Fit all slices to their volumes."""
        self._mrml.application.FitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """Show everything in the 3-D views."""
        for widget in self._three_d:
            widget.threeDView().resetCamera()

    def pauseRender(self) -> None:
        """No drawing until resumeRender."""
        for widget in [*self._slices.values(), *self._three_d]:
            widget.viewWidget().pauseRender()

    def resumeRender(self) -> None:
        """Draw again."""
        for widget in [*self._slices.values(), *self._three_d]:
            widget.viewWidget().resumeRender()

    def setRenderPaused(self, paused: bool) -> None:
        """One of the two."""
        (self.pauseRender if paused else self.resumeRender)()

    layout = StandInProperty(int, lambda self: self._node.GetViewArrangement(), setLayout)
    threeDViewCount = StandInProperty(int, lambda self: len(self._three_d))
    tableViewCount = StandInProperty(int, lambda self: 0)
    plotViewCount = StandInProperty(int, lambda self: len(self._plots))


qSlicerLayoutManager.layoutChanged = QtSignal("layoutChanged", qSlicerLayoutManager.__dict__["layoutChanged"])


def _slicer() -> Any:
    import slicer

    return slicer
