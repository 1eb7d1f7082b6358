"""`slicer.app`: the application object. qSlicerApplication is a QApplication in Slicer too."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PySide6 import QtCore, QtWidgets

from .module_manager import qSlicerModuleManager
from .signals import QtSignal


class qSlicerApplication(QtWidgets.QApplication):
    """Only what Slicer's application has; properties are plain attributes, methods are methods."""

    startupCompleted = QtCore.Signal()
    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, folder: Path) -> None:
        super().__init__(["Slicer"])
        self._folder = folder
        self.temporaryPath = str(folder / "temp")
        self.slicerHome = str(folder / "home")
        self.extensionsInstallPath = str(folder / "extensions")
        self.slicerUserSettingsFilePath = str(folder / "settings" / "Slicer.ini")
        for path in (self.temporaryPath, self.slicerHome, self.extensionsInstallPath, str(folder / "settings")):
            Path(path).mkdir(parents=True, exist_ok=True)
        self.mainApplicationName = "Slicer"
        self.majorVersion, self.minorVersion = 5, 12
        self.revision = "0"
        self.os = {"linux": "linux", "darwin": "macosx"}.get(sys.platform, "win")
        self.documentationBaseUrl = "https://slicer.readthedocs.io/en/5.12/"
        self.isInstalled = True
        self.launcherExecutableFilePath = sys.executable
        self._options = SimpleNamespace(testingEnabled=False, noMainWindow=False, noSplash=True, disableSettings=False)
        self._manager = qSlicerModuleManager(self)
        self._mrml: Any = None
        self._layout: Any = None
        self._io: Any = None
        self._main_window: Any = None

    # set up by start()

    def _set_parts(self, mrml: Any, layout: Any, io: Any) -> None:
        self._mrml, self._layout, self._io = mrml, layout, io

    # as in Slicer

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._mrml.scene

    def applicationLogic(self) -> Any:
        """vtkSlicerApplicationLogic."""
        return self._mrml.application

    def layoutManager(self) -> Any:
        """The manager of the slice and 3-D views."""
        return self._layout

    def moduleManager(self) -> qSlicerModuleManager:
        """The manager of the modules."""
        return self._manager

    def coreIOManager(self) -> Any:
        """Reads and writes files."""
        return self._io

    def ioManager(self) -> Any:
        """The same with dialogs."""
        return self._io

    def commandOptions(self) -> Any:
        """Options of the command line."""
        return self._options

    def testingEnabled(self) -> bool:
        """Whether Slicer was started with --testing."""
        return self._options.testingEnabled

    def settings(self) -> QtCore.QSettings:
        """The settings of this revision."""
        import qt

        return qt.QSettings()

    def userSettings(self) -> QtCore.QSettings:
        """The settings of the user."""
        return self.settings()

    def revisionUserSettings(self) -> QtCore.QSettings:
        """The settings of the user for this revision."""
        return self.settings()

    def pythonConsole(self) -> Any:
        """The console; None, as without a main window."""
        return None

    def pauseRender(self) -> None:
        """Stop drawing the views until resumeRender."""
        self._mrml.application.PauseRender()

    def resumeRender(self) -> None:
        """Draw again."""
        self._mrml.application.ResumeRender()

    def setRenderPaused(self, paused: bool) -> None:
        """One of the two."""
        (self.pauseRender if paused else self.resumeRender)()

    def startupEnvironment(self) -> QtCore.QProcessEnvironment:
        """The environment in which Slicer was started."""
        return QtCore.QProcessEnvironment.systemEnvironment()

    def translate(self, context: str, text: str) -> str:
        """English."""
        return text

    def moduleDocumentationUrl(self, name: str) -> str:
        """Address of a module's manual."""
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def isInstalledExtension(self, name: str) -> bool:
        """Whether an extension is installed: none is."""
        return False

    def restart(self) -> None:
        """Nothing: a test does not start the application again."""

    def mainWindow(self) -> Any:
        """The main window."""
        return next((w for w in self.topLevelWidgets() if w.objectName == "qSlicerMainWindow"), None)


for _name in ("startupCompleted", "mrmlSceneChanged"):
    setattr(qSlicerApplication, _name, QtSignal(_name, qSlicerApplication.__dict__[_name]))


def make_application() -> qSlicerApplication:
    """The one application of the process, its files in a temporary folder of its own.

    QT_QPA_PLATFORM is `offscreen` where the environment does not say otherwise.
    """
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    folder = Path(tempfile.mkdtemp(prefix="Slicer-"))
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
    for scope in (QtCore.QSettings.UserScope, QtCore.QSettings.SystemScope):
        QtCore.QSettings.setPath(QtCore.QSettings.IniFormat, scope, str(folder / "settings"))
    application = qSlicerApplication(folder)
    _add_python_slicer(Path(application.slicerHome))
    _add_python_slicer(Path(application.slicerHome) / "bin")
    application.setOrganizationName("Slicer harness")
    application.setApplicationName("Slicer")
    return application


def _add_python_slicer(home: Path) -> None:
    """The program PythonSlicer, first on the PATH as in Slicer: this Python."""
    program = home / "bin" / "PythonSlicer"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n', "utf-8")
    program.chmod(0o755)
    os.environ["PATH"] = f"{program.parent}{os.pathsep}{os.environ.get('PATH', '')}"


def _add_python_slicer(folder: Path) -> None:
    """PythonSlicer is the Python that runs here; its folder is on the path, as in Slicer."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.name == "nt":
        (folder / "PythonSlicer.bat").write_text(f'@"{sys.executable}" %*\n', encoding="utf-8")
    else:
        program = folder / "PythonSlicer"
        program.write_text(f"#!/bin/sh\nexec '{sys.executable}' \"$@\"\n", encoding="utf-8")
        program.chmod(0o755)
    os.environ["PATH"] = os.pathsep.join((str(folder), os.environ.get("PATH", "")))
