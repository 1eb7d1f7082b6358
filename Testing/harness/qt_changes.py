"""Single functions of Qt that PythonQt or Slicer has otherwise."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .calls import call
from .dialogs import DIALOGS
from .pythonqt import Internal, raw_of


def change_qt(qt: Any) -> None:
    """QTimer.singleShot is Slicer's own; dialogs are answered by the tests, file dialogs return plain paths."""
    QtCore.QTimer.singleShot = staticmethod(single_shot)
    _change_dialogs()
    files = QtWidgets.QFileDialog
    for name, nothing in (("getOpenFileName", ""), ("getSaveFileName", ""), ("getExistingDirectory", ""),
                          ("getOpenFileNames", ())):
        setattr(files, name, staticmethod(_picker("QFileDialog", nothing)))
    inputs = QtWidgets.QInputDialog
    for name, nothing in (("getText", ""), ("getMultiLineText", ""), ("getItem", ""), ("getInt", 0),
                          ("getDouble", 0.0)):
        setattr(inputs, name, staticmethod(_picker("QInputDialog", nothing)))


def _change_dialogs() -> None:
    run = raw_of(QtWidgets.QDialog, "exec")
    executed = Internal(lambda dialog: DIALOGS.execute(dialog, lambda: run.__get__(dialog, type(dialog))()))
    QtWidgets.QDialog.exec = QtWidgets.QDialog.exec_ = executed
    box = QtWidgets.QMessageBox
    for name, icon in (("information", box.Information), ("warning", box.Warning), ("critical", box.Critical),
                       ("question", box.Question)):
        default = box.Yes | box.No if name == "question" else box.Ok
        setattr(box, name, staticmethod(_message(icon, default)))


def _message(icon: Any, default: Any) -> Any:
    def ask(parent: Any, title: str, text: str, buttons: Any = default, button: Any = 0) -> int:
        box = QtWidgets.QMessageBox(parent)
        for setter, value in (("setIcon", icon), ("setWindowTitle", title), ("setText", text),
                              ("setStandardButtons", buttons), ("setDefaultButton", button)):
            method = raw_of(QtWidgets.QMessageBox, setter)
            call(method.__get__(box, type(box)), method, value)
        return box.exec()

    return ask


def _picker(kind: str, nothing: Any) -> Any:
    def pick(parent: Any = None, title: str = "", text: str = "", *more: Any) -> Any:
        return DIALOGS.pick(kind, title, text, nothing)

    return pick


def single_shot(msec: int, receiver: Any, member: str | None = None) -> None:
    """Call a function, or a slot of an object, once after some milliseconds. The timer stays, as in Slicer."""
    import slicer

    timer = QtCore.QTimer(slicer.app.moduleManager())
    timer.setSingleShot(True)
    if callable(receiver):
        timer.connect("timeout()", receiver)
    else:
        timer.connect("timeout()", receiver, member)
    timer.start(msec)
