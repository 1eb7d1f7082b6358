"""ctkCollapsibleButton and ctkCollapsibleGroupBox: sections of a panel."""

from __future__ import annotations

from PySide6 import QtCore, QtGui, QtWidgets

from ..properties import StandInProperty
from ..pythonqt import raw
from .stand_in import stand_in

HEADER = 26  # pixels


@stand_in
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A header that shows and hides what lies below it."""

    contentsCollapsed = QtCore.Signal(bool)

    def __init__(self, *arguments) -> None:
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        super().__init__(*[a for a in arguments if not isinstance(a, str)])
        self._collapsed = False
        self._children_shown: list[QtWidgets.QWidget] = []
        self._collapsed_height = 14
        raw(self, "setCheckable")(True)
        raw(self, "setChecked")(True)
        raw(self, "setText")(text)
        raw(self, "setContentsMargins")(1, HEADER, 1, 1)
        raw(self, "setSizePolicy")(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Preferred)
        self.connect("toggled(bool)", self._toggled)

    def _toggled(self, shown: bool) -> None:
        self._set_collapsed(not shown)

    def _set_collapsed(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        raw(self, "setChecked")(not collapsed)
        if collapsed:
            self._children_shown = [c for c in raw(self, "children")()
                                    if isinstance(c, QtWidgets.QWidget) and not raw(c, "isHidden")()]
            for child in self._children_shown:
                raw(child, "setVisible")(False)
            raw(self, "setMaximumHeight")(HEADER)
        else:
            for child in self._children_shown:
                raw(child, "setVisible")(True)
            raw(self, "setMaximumHeight")(16777215)
        raw(self, "updateGeometry")()
        self.contentsCollapsed.emit(collapsed)

    collapsed = StandInProperty(bool, lambda self: self._collapsed, _set_collapsed)
    collapsedHeight = StandInProperty(int, lambda self: self._collapsed_height,
                                      lambda self, height: setattr(self, "_collapsed_height", height))

    def collapse(self, collapsed: bool) -> None:
        """Hide or show the contents."""
        self._set_collapsed(collapsed)

    def sizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        hint = layout.sizeHint() if layout is not None and not self._collapsed else QtCore.QSize(120, 0)
        return QtCore.QSize(hint.width(), max(HEADER, hint.height()))

    def minimumSizeHint(self) -> QtCore.QSize:
        layout = self.layout()
        hint = layout.minimumSize() if layout is not None and not self._collapsed else QtCore.QSize(60, 0)
        return QtCore.QSize(hint.width(), max(HEADER, hint.height()))

    def paintEvent(self, event: QtGui.QPaintEvent) -> None:
        painter = QtGui.QPainter(self)
        frame = QtCore.QRect(0, 0, raw(self, "width")(), raw(self, "height")())
        palette = raw(self, "palette")()
        painter.setPen(palette.mid().color())
        painter.drawRect(frame.adjusted(0, HEADER // 2, -1, -1))
        header = QtCore.QRect(0, 0, frame.width(), HEADER - 4)
        painter.fillRect(header, palette.button())
        painter.drawRect(header.adjusted(0, 0, -1, -1))
        painter.setPen(palette.buttonText().color())
        sign = "\u25b8" if self._collapsed else "\u25be"
        painter.drawText(header.adjusted(6, 0, 0, 0), QtCore.Qt.AlignVCenter, f"{sign}  {raw(self, 'text')()}")
        painter.end()


@stand_in
class ctkCollapsibleGroupBox(QtWidgets.QGroupBox):
    """A group box whose title shows and hides its contents."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._collapsed_height = 14
        raw(self, "setCheckable")(True)
        raw(self, "setChecked")(True)
        self.connect("toggled(bool)", self._show_children)

    def _show_children(self, shown: bool) -> None:
        for child in raw(self, "children")():
            if isinstance(child, QtWidgets.QWidget):
                raw(child, "setVisible")(shown)

    def _set_collapsed(self, collapsed: bool) -> None:
        raw(self, "setChecked")(not collapsed)

    collapsed = StandInProperty(bool, lambda self: not raw(self, "isChecked")(), _set_collapsed)
    collapsedHeight = StandInProperty(int, lambda self: self._collapsed_height,
                                      lambda self, height: setattr(self, "_collapsed_height", height))
