"""qMRMLThreeDWidget and qMRMLThreeDView: the 3-D view, drawn by real displayable managers."""

from __future__ import annotations

from typing import Any

from PySide6 import QtWidgets

from .mrml_widgets import SceneHolder
from .stand_in import stand_in
from .stored import stored
from .vtk_view import VtkView

MANAGERS = ("vtkMRMLCameraDisplayableManager", "vtkMRMLViewDisplayableManager", "vtkMRMLModelDisplayableManager",
            "vtkMRMLCrosshairDisplayableManager3D", "vtkMRMLOrientationMarkerDisplayableManager",
            "vtkMRMLRulerDisplayableManager", "vtkMRMLSegmentationsDisplayableManager3D",
            "vtkMRMLMarkupsDisplayableManager", "vtkMRMLVolumeRenderingDisplayableManager")


@stand_in
class qMRMLThreeDView(VtkView):
    """The picture."""

    vars().update(stored("qMRMLThreeDView", cornerAnnotationText="", fpsVisible=False, gradientBackground=True,
                         renderEnabled=True, useDepthPeeling=False, maximumUpdateRate=60.0, shadowsVisibility=False,
                         orientationWidgetVisible=True, rockEnabled=False, spinEnabled=False, zoomFactor=0.05))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node: Any = None

    def _make_managers(self) -> Any:
        import slicer

        factory = slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance()
        factory.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        for name in MANAGERS:
            if not factory.IsDisplayableManagerRegistered(name):
                factory.RegisterDisplayableManager(name)
        group = factory.InstantiateDisplayableManagers(self._renderer)
        group.SetMRMLDisplayableNode(self._node)
        self._observer = slicer.vtkMRMLThreeDViewInteractorStyle()
        self._observer.SetDisplayableManagers(group)
        self._observer.SetInteractor(self._interactor)
        return group

    def mrmlViewNode(self) -> Any:
        """The view node."""
        return self._node

    def cameraNode(self) -> Any:
        """The camera of the view."""
        import slicer

        name = self._node.GetLayoutName()
        return next((c for c in slicer.util.getNodesByClass("vtkMRMLCameraNode") if c.GetLayoutName() == name), None)

    def resetCamera(self, *arguments) -> None:
        """Show everything."""
        self._managers()
        self._renderer.ResetCamera()

    def resetFocalPoint(self) -> None:
        """Turn about the middle of everything."""
        self._managers()
        bounds = self._renderer.ComputeVisiblePropBounds()
        if bounds[0] <= bounds[1]:
            self.setFocalPoint(*((bounds[i] + bounds[i + 1]) / 2 for i in (0, 2, 4)))

    def setFocalPoint(self, x: float, y: float, z: float) -> None:
        """Turn about a point of the world, mm."""
        camera = self.cameraNode()
        if camera is not None:
            camera.SetFocalPoint(x, y, z)


@stand_in
class qMRMLThreeDViewControllerWidget(SceneHolder):
    """The bar above a 3-D view; the harness shows none."""

    vars().update(stored("qMRMLThreeDViewControllerWidget", showMaximizeViewButton=True))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._view: Any = None

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def resetFocalPoint(self) -> None:
        """Of the view."""
        self._view.resetFocalPoint()

    def mrmlThreeDViewNode(self) -> Any:
        """The view node."""
        return self._view.mrmlViewNode()


@stand_in
class qMRMLThreeDWidget(SceneHolder):
    """A 3-D view with its logic."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._view = qMRMLThreeDView()
        self._controller = qMRMLThreeDViewControllerWidget()
        self._controller._view = self._view
        self._logic: Any = None
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._view)

    def _show(self, logic: Any, node: Any) -> None:
        self._logic, self._view._node = logic, node

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def threeDView(self) -> qMRMLThreeDView:
        """The picture."""
        return self._view

    def viewWidget(self) -> qMRMLThreeDView:
        """The picture."""
        return self._view

    def threeDController(self) -> qMRMLThreeDViewControllerWidget:
        """The bar above."""
        return self._controller

    def controllerWidget(self) -> qMRMLThreeDViewControllerWidget:
        """The bar above."""
        return self._controller

    def viewLogic(self) -> Any:
        """vtkMRMLViewLogic."""
        return self._logic

    def logic(self) -> Any:
        """The same."""
        return self._logic

    def mrmlViewNode(self) -> Any:
        """The view node."""
        return self._view.mrmlViewNode()

    def mrmlAbstractViewNode(self) -> Any:
        """The view node."""
        return self._view.mrmlViewNode()
