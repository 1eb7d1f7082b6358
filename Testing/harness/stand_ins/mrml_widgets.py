"""qMRMLWidget and qSlicerWidget: a widget that knows the scene."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .stand_in import stand_in


class SceneHolder(QtWidgets.QWidget):
    """What the widgets with a scene share."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene: Any = None

    def setMRMLScene(self, scene: Any) -> None:
        """Set the scene and tell those who listen."""
        if scene is self._scene:
            return
        self._scene = scene
        self._scene_set()
        self.mrmlSceneChanged.emit(scene)

    def _scene_set(self) -> None:
        """For those who derive."""


@stand_in
class qMRMLWidget(SceneHolder):
    """The usual top of a module's .ui file."""

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene


@stand_in
class qSlicerWidget(SceneHolder):
    """The same with another name; in Slicer it has no mrmlScene()."""
