"""Modules as Slicer keeps them: module objects, their panels, the manager that tells when one goes."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from PySide6 import QtCore, QtWidgets

from .signals import QtSignal


class qSlicerModuleManager(QtCore.QObject):
    """`slicer.app.moduleManager()`."""

    moduleLoaded = QtCore.Signal(str)
    moduleAboutToBeUnloaded = QtCore.Signal(str)
    moduleUnloaded = QtCore.Signal(str)

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self._modules: dict[str, Any] = {}

    def module(self, name: str) -> Any:
        """A module by name, or None."""
        return self._modules.get(name)

    def modulesNames(self) -> tuple[str, ...]:
        """The names of all modules."""
        return tuple(self._modules)

    def factoryManager(self) -> Any:
        """The one that knows which modules were loaded."""
        return self

    def loadedModuleNames(self) -> tuple[str, ...]:
        """Of the factory manager."""
        return tuple(self._modules)

    def isLoaded(self, name: str) -> bool:
        """Of the factory manager."""
        return name in self._modules

    def isRegistered(self, name: str) -> bool:
        """Of the factory manager."""
        return name in self._modules

    def _add(self, module: Any) -> None:
        import slicer

        self._modules[module.name] = module
        setattr(slicer.modules, module.name.lower(), module)
        setattr(slicer.moduleNames, module.name, module.name)
        self.moduleLoaded.emit(module.name)

    def _remove(self, name: str) -> None:
        import slicer

        self.moduleAboutToBeUnloaded.emit(name)
        del self._modules[name]
        for attribute in (name.lower(), name + "Instance", name + "Widget"):
            if hasattr(slicer.modules, attribute):
                delattr(slicer.modules, attribute)
        getattr(slicer, "selfTests", {}).pop(name, None)
        self.moduleUnloaded.emit(name)


for _name in ("moduleLoaded", "moduleAboutToBeUnloaded", "moduleUnloaded"):
    setattr(qSlicerModuleManager, _name, QtSignal(_name, qSlicerModuleManager.__dict__[_name]))


class qSlicerAbstractModuleWidget(QtWidgets.QWidget):
    """The panel of a module as the application sees it."""

    mrmlSceneChanged = QtCore.Signal(object)

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._module = module
        self._entered = False
        self.setObjectName(module.name + "ModuleWidget")

    def module(self) -> Any:
        """The module object."""
        return self._module

    @property
    def moduleName(self) -> str:
        return self._module.name

    @property
    def isEntered(self) -> bool:
        return self._entered

    def mrmlScene(self) -> Any:
        """The scene."""
        import slicer

        return slicer.mrmlScene

    def setMRMLScene(self, scene: Any) -> None:
        """Tell the panel's widgets."""
        self.mrmlSceneChanged.emit(scene)

    def enter(self) -> None:
        """The panel is shown."""
        self._entered = True

    def exit(self) -> None:
        """Another panel is shown."""
        self._entered = False

    def setup(self) -> None:
        """Fill the panel."""

    def setEditedNode(self, node: Any, role: str = "", context: str = "") -> bool:
        """Show a node; most panels cannot."""
        return False


class qSlicerScriptedLoadableModuleWidget(qSlicerAbstractModuleWidget):
    """The panel of a module in Python; the Python object is `self()`."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        QtWidgets.QVBoxLayout(self)
        self._self: Any = None

    def self(self) -> Any:
        """The Python widget."""
        return self._self

    def setup(self) -> None:
        """Make the Python widget and let it fill the panel."""
        import slicer

        name = self._module.name + "Widget"
        self._self = getattr(sys.modules[self._module.name], name)(self)
        setattr(slicer.modules, name, self._self)
        self._self.setup()

    def reload(self) -> None:
        """Make the Python widget anew from the class that is in sys.modules now."""
        self.setup()

    def enter(self) -> None:
        super().enter()
        if hasattr(self._self, "enter"):
            self._self.enter()

    def exit(self) -> None:
        super().exit()
        if hasattr(self._self, "exit"):
            self._self.exit()

    def setEditedNode(self, node: Any, role: str = "", context: str = "") -> bool:
        method = getattr(self._self, "setEditedNode", None)
        return bool(method(node, role, context)) if method else False


class qSlicerScriptedLoadableModule:
    """A module in Python: the attributes that its class fills, its path, its panel."""

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.path = str(path)
        self.title, self.helpText, self.acknowledgementText = self.name, "", ""
        self.categories: list[str] = []
        self.dependencies: list[str] = []
        self.contributors: list[str] = []
        self.hidden, self.widgetRepresentationCreationEnabled, self.index = False, True, -1
        self.icon: Any = None
        self.associatedNodeTypes: list[str] = []
        self._widget: Any = None

    def widgetRepresentation(self) -> Any:
        """The panel, made and set up when it is first asked for."""
        if self._widget is None and self.widgetRepresentationCreationEnabled:
            self._widget = qSlicerScriptedLoadableModuleWidget(self)
            self._widget.setup()
        return self._widget

    def createNewWidgetRepresentation(self) -> Any:
        """A second panel."""
        widget = qSlicerScriptedLoadableModuleWidget(self)
        widget.setup()
        return widget

    def inherits(self, name: str) -> bool:
        """As a QObject would."""
        return name in ("qSlicerScriptedLoadableModule", "qSlicerAbstractModule", "qSlicerAbstractCoreModule",
                        "QObject")


class LoadableModule:
    """A module of Slicer itself of which the harness has the logic and, where a stand-in makes one, the panel."""

    def __init__(self, name: str, logic: Any = None, make_widget: Any = None) -> None:
        self.name, self.title, self.path = name, name, ""
        self.categories: list[str] = []
        self._logic, self._make_widget, self._widget = logic, make_widget, None

    def logic(self) -> Any:
        """The module's logic, real MRML."""
        return self._logic

    def widgetRepresentation(self) -> Any:
        """The panel, or None where the harness has none."""
        if self._widget is None and self._make_widget is not None:
            self._widget = self._make_widget(self)
        return self._widget


def load_module(path: Path) -> qSlicerScriptedLoadableModule:
    """Load a module from its .py file as Slicer does at start: its class is called, no panel is made.

    Errors of the file are raised, where Slicer would only print them.
    """
    import slicer

    name = path.stem
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    spec = importlib.util.spec_from_file_location(name, path)
    python = importlib.util.module_from_spec(spec)
    sys.modules[name] = python
    spec.loader.exec_module(python)
    module = qSlicerScriptedLoadableModule(path)
    setattr(slicer.modules, name + "Instance", getattr(python, name)(module))
    slicer.app.moduleManager()._add(module)
    return module


def unload_module(name: str) -> None:
    """Leave the panel, tell the manager's listeners (the widget's cleanup is one), forget the Python module."""
    import slicer

    module = slicer.app.moduleManager().module(name)
    widget = module._widget
    if widget is not None and widget._entered:
        slicer.util.moduleSelector()._leave()
    slicer.app.moduleManager()._remove(name)
    if widget is not None:
        widget.deleteLater()
        module._widget = None
        slicer.app.sendPostedEvents(None, QtCore.QEvent.DeferredDelete)
    sys.modules.pop(name, None)
