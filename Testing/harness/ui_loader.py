""".ui files: Slicer's own widgets are made by the stand-ins, connections are made with PythonQt's manners.

Qt would refuse connections that carry a `vtkMRMLScene*`; they are taken out of the file and made here.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools

from . import listing
from .pythonqt import reading_ui
from .signals import connect, slot_of


class UiError(RuntimeError):
    """Something in a .ui file that a real Slicer does not have."""


class UiLoader(QtUiTools.QUiLoader):
    """`qt.QUiLoader` with the widgets of the modules `ctk` and `slicer`."""

    classes: dict[str, type] = {}

    def createWidget(self, className: str, parent: Any = None, name: str = "") -> Any:
        """One widget; called by Qt while it reads the file."""
        made = self.classes.get(className)
        if made is None:
            return super().createWidget(className, parent, name)
        widget = made(parent) if parent is not None else made()
        widget.setObjectName(name)
        self.__dict__.setdefault("_made", []).append(widget)
        return widget

    def load(self, device: Any, parent: Any = None) -> Any:
        """The widget tree of an open .ui file; None where Qt cannot read it."""
        tree = ElementTree.fromstring(bytes(device.readAll().data()))
        self._check(tree)
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.ReadOnly)
        reading_ui.append("children are no attributes in PythonQt")
        try:
            top = super().load(buffer, parent) if parent is not None else super().load(buffer)
        finally:
            reading_ui.pop()
        if top is not None:
            top.__dict__["_made_by_loader"] = self.__dict__.pop("_made", [])
            for element in connections if connections is not None else ():
                _connect(top, element)
        return top

    def _check(self, tree: ElementTree.Element) -> None:
        for custom in tree.iterfind("customwidgets/customwidget"):
            name = custom.findtext("class", "")
            if name not in self.classes:
                raise UiError(f"the .ui file uses {name}, which has no stand-in in the harness")
        for widget in tree.iter("widget"):
            known = listing.listing(widget.get("class", ""))
            if known is None:
                continue
            properties = known.properties | listing.base().properties
            for entry in widget.iterfind("property"):
                name = entry.get("name", "")
                if entry.get("stdset") != "0" and name not in properties:
                    raise UiError(f"{widget.get('name')}: {known.name} has no property '{name}' in Slicer")


def _connect(top: Any, element: ElementTree.Element) -> None:
    sender, receiver = (_find(top, element.findtext(part, "")) for part in ("sender", "receiver"))
    connect(sender, element.findtext("signal", ""), slot_of(receiver, element.findtext("slot", "")))


def _find(top: Any, name: str) -> Any:
    found = top if top.objectName == name else top.findChild(QtCore.QObject, name)
    if found is None:
        raise UiError(f"a connection of the .ui file names '{name}', which is not in it")
    return found
