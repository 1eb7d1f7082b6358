"""The main window: module panel and selector, status bar, views."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .signals import QtSignal


class qSlicerModuleSelectorToolBar(QtWidgets.QToolBar):
    """Shows one module's panel at a time and tells panels when they are entered and left."""

    moduleSelected = QtCore.Signal(str)

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._selected = ""

    @property
    def selectedModule(self) -> str:
        return self._selected

    def selectModule(self, name: str) -> None:
        """Leave the shown panel, show and enter that of a module."""
        import slicer

        if name == self._selected:
            return
        self._leave()
        self._selected = name
        module = slicer.app.moduleManager().module(name)
        widget = module.widgetRepresentation() if module is not None else None
        self.window()._show_panel(widget)
        if widget is not None:
            widget.enter()
        self.moduleSelected.emit(name)

    def _leave(self) -> None:
        import slicer

        module = slicer.app.moduleManager().module(self._selected)
        self._selected = ""
        if module is not None and module._widget is not None and module._widget._entered:
            module._widget.exit()


qSlicerModuleSelectorToolBar.moduleSelected = QtSignal("moduleSelected",
                                                       qSlicerModuleSelectorToolBar.__dict__["moduleSelected"])


class qSlicerMainWindow(QtWidgets.QMainWindow):
    """`slicer.util.mainWindow()`."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("qSlicerMainWindow")
        self._selector = qSlicerModuleSelectorToolBar("Module", self)
        self._selector.setObjectName("ModuleSelectorToolBar")
        self.addToolBar(self._selector)
        self._panel = QtWidgets.QStackedWidget()
        self._panel.setObjectName("ModulePanel")
        self._empty = QtWidgets.QWidget()
        dock = QtWidgets.QDockWidget("Module Panel", self)
        dock.setObjectName("PanelDockWidget")
        dock.setWidget(self._panel)
        self.addDockWidget(QtCore.Qt.LeftDockWidgetArea, dock)
        self.statusBar()

    def moduleSelector(self) -> qSlicerModuleSelectorToolBar:
        """The selector of modules."""
        return self._selector

    def _show_panel(self, widget: Any) -> None:
        widget = self._empty if widget is None else widget
        if self._panel.indexOf(widget) < 0:
            self._panel.addWidget(widget)
        self._panel.setCurrentWidget(widget)
