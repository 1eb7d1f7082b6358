"""Small input widgets of ctk: a path, a number with a slider, message boxes and thin relatives of Qt's own."""

from __future__ import annotations

from pathlib import Path

from PySide6 import QtCore, QtWidgets

from ..properties import StandInProperty
from ..pythonqt import raw
from .stand_in import stand_in
from .stored import stored


@stand_in
class ctkPathLineEdit(QtWidgets.QWidget):
    """A file or folder, typed or picked."""

    currentPathChanged = QtCore.Signal(str)
    validInputChanged = QtCore.Signal(bool)
    Files, Executable, Dirs, Drives, NoDot, NoDotDot, NoDotAndDotDot = 0x2, 0x40, 0x1, 0x4, 0x2000, 0x4000, 0x6000
    AllEntries, Readable, Writable, Hidden, System, NoFilter = 0x7, 0x10, 0x20, 0x100, 0x200, -1
    vars().update(stored("ctkPathLineEdit", filters=0x7, options=0, label="", settingKey="", nameFilters=(),
                         showBrowseButton=True, showHistoryButton=True, minimumContentsLength=0, sizeAdjustPolicy=0))

    def __init__(self, *arguments) -> None:
        super().__init__(*[a for a in arguments if isinstance(a, QtWidgets.QWidget)])
        self._valid = True
        self._combo = QtWidgets.QComboBox(self)
        raw(self._combo, "setEditable")(True)
        self._button = QtWidgets.QToolButton(self)
        raw(self._button, "setText")("\u2026")
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._button)
        self._combo.connect("editTextChanged(QString)", self._changed)
        self._button.connect("clicked()", self.browse)

    def _changed(self, path: str) -> None:
        self.currentPathChanged.emit(path)
        valid = not path or Path(path).exists()
        if valid != self._valid:
            self._valid = valid
            self.validInputChanged.emit(valid)

    def _set(self, path: str) -> None:
        if path != raw(self._combo, "currentText")():
            raw(self._combo, "setEditText")(path)

    currentPath = StandInProperty(str, lambda self: raw(self._combo, "currentText")(), _set)

    def setCurrentPath(self, path: str) -> None:
        """As writing `currentPath`."""
        self._set(path)

    def setCurrentDirectory(self, path: str) -> None:
        """The folder in which browsing starts."""

    def addCurrentPathToHistory(self) -> None:
        """Keep the path in the drop-down list and, where a key is set, in the settings."""
        path = raw(self._combo, "currentText")()
        if path and raw(self._combo, "findText")(path) < 0:
            raw(self._combo, "blockSignals")(True)
            raw(self._combo, "insertItem")(0, path)
            raw(self._combo, "setEditText")(path)
            raw(self._combo, "blockSignals")(False)
        if path and self.settingKey:
            settings = QtCore.QSettings()
            known = [p for p in (settings.value(self.settingKey) or ()) if p != path]
            settings.setValue(self.settingKey, [path, *known])

    def retrieveHistory(self) -> None:
        """Fill the list from the settings."""
        raw(self._combo, "clear")()
        raw(self._combo, "addItems")(list(QtCore.QSettings().value(self.settingKey) or ()))

    def browse(self) -> None:
        """Ask for a file or folder."""
        import qt

        folders = self.filters & self.Dirs and not self.filters & self.Files
        ask = qt.QFileDialog.getExistingDirectory if folders else qt.QFileDialog.getOpenFileName
        path = ask(self, self.label, self.currentPath)
        if path:
            self._set(path)

    def comboBox(self) -> QtWidgets.QComboBox:
        """The editable list within."""
        return self._combo


@stand_in
class ctkDirectoryButton(QtWidgets.QWidget):
    """A button that shows a folder and asks for another."""

    directoryChanged = QtCore.Signal(str)
    directorySelected = QtCore.Signal(str)
    DontConfirmOverwrite, DontResolveSymlinks, DontUseNativeDialog, ReadOnly, ShowDirsOnly = 0x4, 0x2, 0x10, 0x20, 0x1
    vars().update(stored("ctkDirectoryButton", acceptMode=0, caption="", elideMode=0, options=1))

    def __init__(self, *arguments) -> None:
        super().__init__(*[a for a in arguments if isinstance(a, QtWidgets.QWidget)])
        self._directory = next((a for a in arguments if isinstance(a, str)), "")
        self._button = QtWidgets.QPushButton(self._directory, self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._button)
        self._button.connect("clicked()", self.browse)

    def _set(self, path: str) -> None:
        if path != self._directory:
            self._directory = path
            raw(self._button, "setText")(path)
            self.directoryChanged.emit(path)

    def browse(self) -> None:
        """Ask for a folder."""
        import qt

        path = qt.QFileDialog.getExistingDirectory(self, self.caption, self._directory)
        if path:
            self._set(path)
            self.directorySelected.emit(path)

    directory = StandInProperty(str, lambda self: self._directory, _set)
    text = StandInProperty(str, lambda self: raw(self._button, "text")(),
                           lambda self, text: raw(self._button, "setText")(text))


@stand_in
class ctkSliderWidget(QtWidgets.QWidget):
    """A number, by slider or typed."""

    valueChanged = QtCore.Signal(float)
    valueIsChanging = QtCore.Signal(float)
    decimalsChanged = QtCore.Signal(int)
    NoSynchronize, SynchronizeWidth, SynchronizeDecimals = 0, 1, 2
    vars().update(stored("ctkSliderWidget", invertedAppearance=False, invertedControls=False, pageStep=10.0,
                         popupSlider=False, tracking=True, tickInterval=0.0, tickPosition=0, synchronizeSiblings=0,
                         spinBoxAlignment=0))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._value, self._minimum, self._maximum, self._step = 0.0, 0.0, 99.0, 1.0
        self._slider = QtWidgets.QSlider(QtCore.Qt.Horizontal, self)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self._slider.connect("valueChanged(int)", lambda step: self.setValue(self._minimum + step * self._step))
        self._spin.connect("valueChanged(double)", self.setValue)
        self._show()

    def _show(self) -> None:
        for widget in (self._slider, self._spin):
            raw(widget, "blockSignals")(True)
        raw(self._slider, "setRange")(0, max(0, round((self._maximum - self._minimum) / self._step)))
        raw(self._slider, "setValue")(round((self._value - self._minimum) / self._step))
        raw(self._spin, "setRange")(self._minimum, self._maximum)
        raw(self._spin, "setSingleStep")(self._step)
        raw(self._spin, "setValue")(self._value)
        for widget in (self._slider, self._spin):
            raw(widget, "blockSignals")(False)

    def setValue(self, value: float) -> None:
        """Set and tell, within the range."""
        value = round(min(max(float(value), self._minimum), self._maximum), raw(self._spin, "decimals")())
        if value != self._value:
            self._value = value
            self._show()
            self.valueChanged.emit(value)

    def _set_minimum(self, value: float) -> None:
        self._minimum, self._maximum = value, max(value, self._maximum)
        self._bound()

    def _set_maximum(self, value: float) -> None:
        self._minimum, self._maximum = min(value, self._minimum), value
        self._bound()

    def _bound(self) -> None:
        self.setValue(self._value)
        self._show()

    def _set_step(self, value: float) -> None:
        self._step = value
        self._show()

    def setDecimals(self, decimals: int) -> None:
        """Digits after the point."""
        raw(self._spin, "setDecimals")(decimals)
        self.decimalsChanged.emit(decimals)

    def setSpinBoxVisible(self, visible: bool) -> None:
        """Show or hide the typed number."""
        raw(self._spin, "setVisible")(visible)

    def reset(self) -> None:
        """Back to the smallest value."""
        self.setValue(self._minimum)

    value = StandInProperty(float, lambda self: self._value, setValue)
    minimum = StandInProperty(float, lambda self: self._minimum, _set_minimum)
    maximum = StandInProperty(float, lambda self: self._maximum, _set_maximum)
    singleStep = StandInProperty(float, lambda self: self._step, _set_step)
    decimals = StandInProperty(int, lambda self: raw(self._spin, "decimals")(), setDecimals)
    prefix = StandInProperty(str, lambda self: raw(self._spin, "prefix")(),
                             lambda self, text: raw(self._spin, "setPrefix")(text))
    suffix = StandInProperty(str, lambda self: raw(self._spin, "suffix")(),
                             lambda self, text: raw(self._spin, "setSuffix")(text))
    spinBoxVisible = StandInProperty(bool, lambda self: not raw(self._spin, "isHidden")(), setSpinBoxVisible)


@stand_in
class ctkMessageBox(QtWidgets.QMessageBox):
    """A message box with "do not show again"."""

    vars().update(stored("ctkMessageBox", dontShowAgain=False, dontShowAgainSettingsKey="", dontShowAgainVisible=False))


@stand_in
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box with a default text."""

    vars().update(stored("ctkComboBox", defaultText=""))


@stand_in
class ctkSearchBox(QtWidgets.QLineEdit):
    """A line edit with a magnifying glass."""

    vars().update(stored("ctkSearchBox", showSearchIcon=False))


@stand_in
class ctkDoubleSpinBox(QtWidgets.QDoubleSpinBox):
    """A spin box that can be told to emit always."""

    decimalsChanged = QtCore.Signal(int)


@stand_in
class ctkPushButton(QtWidgets.QPushButton):
    """A push button whose text can be aligned."""


@stand_in
class ctkCheckBox(QtWidgets.QCheckBox):
    """A check box with icons."""
