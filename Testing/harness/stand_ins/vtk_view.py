"""What slice and 3-D views share: a VTK window that draws into memory, shown by a Qt widget.

Displayable managers (real MRML) are made at the first drawing, because until then nobody sees what they do and they
cost time at each change of the scene.
"""

from __future__ import annotations

from typing import Any

import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from ..pythonqt import raw
from ..requirements import no_rendering

BUTTONS = {QtCore.Qt.LeftButton: "LeftButton", QtCore.Qt.RightButton: "RightButton",
           QtCore.Qt.MiddleButton: "MiddleButton"}


class VtkView(QtWidgets.QWidget):
    """A render window with an interactor; mouse events of Qt reach the interactor's observers."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._renderer = vtk.vtkRenderer()
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._interactor.Enable()
        self._group: Any = None
        self._observer: Any = None
        self._paused = 0
        raw(self, "setMinimumSize")(32, 32)
        raw(self, "resize")(320, 240)
        raw(self, "setSizePolicy")(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)

    # for those who derive

    def _make_managers(self) -> Any:
        raise TypeError(f"{type(self).__name__} has no displayable managers")

    def _resized(self, width: int, height: int) -> None:
        """The view has a new size in pixels."""

    # as in Slicer

    def renderWindow(self) -> Any:
        """vtkRenderWindow."""
        return self._window

    def interactor(self) -> Any:
        """vtkRenderWindowInteractor."""
        return self._interactor

    def interactorStyle(self) -> Any:
        """The style of the interactor."""
        return self._interactor.GetInteractorStyle()

    def interactorObserver(self) -> Any:
        """What hands mouse events to the displayable managers."""
        self._managers()
        return self._observer

    def displayableManagerByClassName(self, name: str) -> Any:
        """A displayable manager, or None."""
        return self._managers().GetDisplayableManagerByClassName(name)

    def getDisplayableManagers(self, collection: Any) -> None:
        """All displayable managers into a collection."""
        group = self._managers()
        for index in range(group.GetDisplayableManagerCount()):
            collection.AddItem(group.GetNthDisplayableManager(index))

    def forceRender(self) -> None:
        """Draw now."""
        self._draw()

    def scheduleRender(self) -> None:
        """Draw when the event loop comes to it."""
        raw(self, "update")()

    def pauseRender(self) -> None:
        """No drawing until resumeRender."""
        self._paused += 1

    def resumeRender(self) -> None:
        """Undo one pauseRender."""
        self._paused = max(0, self._paused - 1)
        self.scheduleRender()

    def _managers(self) -> Any:
        if self._group is None:
            self._group = self._make_managers()
        return self._group

    def _draw(self) -> QtGui.QImage:
        """Draw the window; the picture."""
        self._managers()
        self._window.SetSize(raw(self, "width")(), raw(self, "height")())
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()
        grab.Update()
        return _as_qimage(grab.GetOutput())

    # Qt

    def resizeEvent(self, event: Any) -> None:
        self._window.SetSize(event.size().width(), event.size().height())
        self._resized(event.size().width(), event.size().height())

    def paintEvent(self, event: Any) -> None:
        image = self._draw() if no_rendering() is None and not self._paused else None
        painter = QtGui.QPainter(self)
        if image is None:
            painter.fillRect(event.rect(), QtCore.Qt.black)
        else:
            painter.drawImage(0, 0, image)
        painter.end()

    def mousePressEvent(self, event: Any) -> None:
        self._pass_on(event, BUTTONS.get(event.button(), "LeftButton") + "PressEvent")

    def mouseReleaseEvent(self, event: Any) -> None:
        self._pass_on(event, BUTTONS.get(event.button(), "LeftButton") + "ReleaseEvent")

    def mouseMoveEvent(self, event: Any) -> None:
        self._pass_on(event, "MouseMoveEvent")

    def _pass_on(self, event: Any, name: str) -> None:
        position = raw(event, "position")()
        self._interactor.SetEventPosition(int(position.x()), raw(self, "height")() - 1 - int(position.y()))
        self._interactor.InvokeEvent(name)


def _as_qimage(image: Any) -> QtGui.QImage:
    """A picture of VTK, whose rows go upwards."""
    from vtk.util.numpy_support import vtk_to_numpy

    width, height, _ = image.GetDimensions()
    pixels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()
    return QtGui.QImage(pixels.data, width, height, 3 * width, QtGui.QImage.Format_RGB888).copy()
