"""Single functions of Qt that PythonQt or Slicer has otherwise."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore


def change_qt(qt: Any) -> None:
    """QTimer.singleShot is Slicer's own function; QSettings gives back PythonQt's types."""
    QtCore.QTimer.singleShot = staticmethod(single_shot)


def single_shot(msec: int, receiver: Any, member: str | None = None) -> None:
    """Call a function, or a slot of an object, once after some milliseconds."""
    import slicer

    timer = QtCore.QTimer(slicer.app.moduleManager())
    timer.setSingleShot(True)
    if callable(receiver):
        timer.connect("timeout()", receiver)
    else:
        timer.connect("timeout()", receiver, member)
    timer.connect("timeout()", timer.deleteLater)
    timer.start(msec)
