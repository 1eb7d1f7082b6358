"""qMRMLSliceWidget and qMRMLSliceView: a slice, drawn by real slice logic and real displayable managers."""

from __future__ import annotations

import weakref
from typing import Any

import vtk
from PySide6 import QtCore, QtWidgets

from ..properties import StandInProperty
from .mrml_widgets import SceneHolder
from .stand_in import stand_in
from .stored import stored
from .vtk_view import VtkView

MANAGERS = ("vtkMRMLVolumeGlyphSliceDisplayableManager", "vtkMRMLModelSliceDisplayableManager",
            "vtkMRMLCrosshairDisplayableManager", "vtkMRMLOrientationMarkerDisplayableManager",
            "vtkMRMLRulerDisplayableManager", "vtkMRMLScalarBarDisplayableManager",
            "vtkMRMLSegmentationsDisplayableManager2D", "vtkMRMLMarkupsDisplayableManager",
            "vtkMRMLTransformsDisplayableManager2D", "vtkMRMLColorLegendDisplayableManager")


@stand_in
class qMRMLSliceView(VtkView):
    """The picture of a slice."""

    resized = QtCore.Signal(QtCore.QSize)
    vars().update(stored("qMRMLSliceView", cornerAnnotationText="", fpsVisible=False, gradientBackground=False,
                         renderEnabled=True, useDepthPeeling=False, maximumUpdateRate=60.0))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._logic: Any = None
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self._renderer.AddViewProp(actor)
        self._take("LeftButtonPressEvent", "OnLeftButtonDown")
        self._take("LeftButtonReleaseEvent", "OnLeftButtonUp")

    def _take(self, event: str, method: str) -> None:
        """Slicer's own style hears an event first and may hide it from others of its priority; here it always does."""
        me = weakref.ref(self)

        def taken(caller: Any, name: str) -> None:
            style = me()._observer if me() is not None else None
            if style is not None:
                getattr(style, method)()
            caller.GetCommand(tag).SetAbortFlag(1)

        tag = self._interactor.AddObserver(event, taken)

    def _show(self, logic: Any) -> None:
        self._logic = logic
        self._resized(self._window.GetSize()[0] or 320, self._window.GetSize()[1] or 240)

    def _resized(self, width: int, height: int) -> None:
        if self._logic is not None:
            self._logic.ResizeSliceNode(width, height)
        self.resized.emit(QtCore.QSize(width, height))

    def _make_managers(self) -> Any:
        import slicer

        factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        group = factory.InstantiateDisplayableManagers(self._renderer)
        group.SetMRMLDisplayableNode(self.mrmlSliceNode())
        self._observer = slicer.vtkMRMLSliceViewInteractorStyle()
        self._observer.SetSliceLogic(self._logic)
        self._observer.SetDisplayableManagers(group)
        self._observer.SetInteractor(self._interactor)
        return group

    def _draw(self) -> Any:
        connection = self._logic.GetImageDataConnection()
        self._mapper.SetInputConnection(connection)
        if connection is None:
            self._mapper.SetInputData(_black())
        return super()._draw()

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()

    def convertDeviceToXYZ(self, position: Any) -> tuple[float, float, float]:
        """A pixel of the view, y upwards, to the slice's XYZ."""
        x, y = position
        return (float(x), float(y), 0.0)

    def convertXYZToRAS(self, xyz: Any) -> tuple[float, float, float]:
        """The slice's XYZ to the world, mm."""
        return self.mrmlSliceNode().GetXYToRAS().MultiplyPoint([*xyz, 1.0])[:3]

    def convertRASToXYZ(self, ras: Any) -> tuple[float, float, float]:
        """The world, mm, to the slice's XYZ."""
        inverse = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.mrmlSliceNode().GetXYToRAS(), inverse)
        return inverse.MultiplyPoint([*ras, 1.0])[:3]

    def sliceViewInteractorStyle(self) -> Any:
        """What hands mouse events to the displayable managers."""
        return self.interactorObserver()

    def setViewCursor(self, cursor: Any) -> None:
        """The cursor over the view."""
        self.setCursor(cursor)

    def unsetViewCursor(self) -> None:
        """The usual cursor."""
        self.unsetCursor()

    def setDefaultViewCursor(self, cursor: Any) -> None:
        """The usual cursor."""


def _black() -> Any:
    image = vtk.vtkImageData()
    image.SetDimensions(1, 1, 1)
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 3)
    image.GetPointData().GetScalars().Fill(0)
    return image


@stand_in
class qMRMLSliceControllerWidget(SceneHolder):
    """The bar above a slice; the harness shows none, its calls act on the slice."""

    vars().update(stored("qMRMLSliceControllerWidget", moreButtonVisibility=False, showMaximizeViewButton=True,
                         showSliceOffsetSlider=True, sliceViewLabel="", sliceViewName=""))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._logic: Any = None

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def sliceLogic(self) -> Any:
        """vtkMRMLSliceLogic."""
        return self._logic

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        """Which volumes are shown."""
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        """Show the whole volume."""
        self._logic.FitSliceToBackground()

    def setSliceOffsetValue(self, offset: float) -> None:
        """Go to an offset in mm."""
        self._logic.SetSliceOffset(offset)

    def setSliceLink(self, linked: bool) -> None:
        """Link the views."""
        self._logic.GetSliceCompositeNode().SetLinkedControl(int(linked))


@stand_in
class qMRMLSliceWidget(SceneHolder):
    """A slice view with its logic."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._view = qMRMLSliceView()
        self._controller = qMRMLSliceControllerWidget()
        self._logic: Any = None
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def _show(self, logic: Any) -> None:
        self._logic = self._controller._logic = logic
        self._view._show(logic)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def sliceLogic(self) -> Any:
        """vtkMRMLSliceLogic."""
        return self._logic

    def logic(self) -> Any:
        """The same."""
        return self._logic

    def sliceView(self) -> qMRMLSliceView:
        """The picture."""
        return self._view

    def viewWidget(self) -> qMRMLSliceView:
        """The picture."""
        return self._view

    def sliceController(self) -> qMRMLSliceControllerWidget:
        """The bar above."""
        return self._controller

    def controllerWidget(self) -> qMRMLSliceControllerWidget:
        """The bar above."""
        return self._controller

    def mrmlSliceNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()

    def mrmlAbstractViewNode(self) -> Any:
        """The slice node."""
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        """Which volumes are shown."""
        return self._logic.GetSliceCompositeNode()

    def interactorStyle(self) -> Any:
        """Of the view."""
        return self._view.interactorStyle()

    def fitSliceToBackground(self) -> None:
        """Show the whole volume."""
        self._logic.FitSliceToBackground()

    def pauseRender(self) -> None:
        """Of the view."""
        self._view.pauseRender()

    def resumeRender(self) -> None:
        """Of the view."""
        self._view.resumeRender()

    sliceViewName = StandInProperty(str, lambda self: self._logic.GetSliceNode().GetLayoutName())
    sliceOrientation = StandInProperty(str, lambda self: self._logic.GetSliceNode().GetOrientation(),
                                       lambda self, name: self._logic.GetSliceNode().SetOrientation(name))
    sliceViewLabel = StandInProperty(str, lambda self: self._logic.GetSliceNode().GetLayoutLabel())
