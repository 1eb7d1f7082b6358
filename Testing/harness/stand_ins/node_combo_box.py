"""qMRMLNodeComboBox: pick a node of the scene. A QWidget, not a QComboBox, as in Slicer."""

from __future__ import annotations

import weakref
from typing import Any

import shiboken6
import vtk
from PySide6 import QtCore, QtWidgets

from ..properties import StandInProperty
from ..pythonqt import raw
from .stand_in import stand_in
from .stored import stored


@stand_in
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Lists the nodes of `nodeTypes`; without `noneEnabled` the first node is picked by itself."""

    currentNodeChanged = QtCore.Signal(object)
    _currentNodeChangedBool = QtCore.Signal(bool)
    currentNodeIDChanged = QtCore.Signal(str)
    nodeActivated = QtCore.Signal(object)
    nodeAdded = QtCore.Signal(object)
    nodeAddedByUser = QtCore.Signal(object)
    nodeAboutToBeRemoved = QtCore.Signal(object)
    nodeAboutToBeEdited = QtCore.Signal(object)
    currentNodeRenamed = QtCore.Signal(str)
    _signal_overloads = {"currentNodeChanged(bool)": "_currentNodeChangedBool"}
    vars().update(stored("qMRMLNodeComboBox", addEnabled=True, removeEnabled=True, editEnabled=False,
                         renameEnabled=False,
                         selectNodeUponCreation=True, baseName="", interactionNodeSingletonTag="", sizeAdjustPolicy=0))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._scene: Any = None
        self._tags: list[int] = []
        self._node_tags: dict[str, tuple[Any, int]] = {}
        self._types: tuple[str, ...] = ()
        self._hidden_types: tuple[str, ...] = ()
        self._children, self._hidden, self._none, self._none_text = True, False, False, "None"
        self._attributes: dict[tuple[str, str], str | None] = {}
        self._current: str = ""
        self._combo = QtWidgets.QComboBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.connect("currentIndexChanged(int)", lambda index: self._picked(index))
        self._combo.connect("activated(int)", lambda index: self.nodeActivated.emit(self.currentNode()))

    # the scene

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        """List the nodes of a scene; None empties the list."""
        if scene is self._scene:
            return
        if self._scene is not None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
        self._scene, self._tags = scene, []
        if scene is not None:
            me = weakref.ref(self)

            def told(function: Any) -> Any:
                @vtk.calldata_type(vtk.VTK_OBJECT)
                def callback(caller: Any, event: str, node: Any = None) -> None:
                    box = me()
                    if box is not None and shiboken6.isValid(box):  # a widget in Slicer hears nothing once deleted
                        function(box, node)
                return callback

            # events and priorities of qMRMLSceneModel: a row goes while its node is still in the scene
            self._tags = [scene.AddObserver(scene.NodeAddedEvent, told(qMRMLNodeComboBox._added), 10.0),
                          scene.AddObserver(scene.NodeAboutToBeRemovedEvent, told(qMRMLNodeComboBox._going), -10.0),
                          scene.AddObserver(scene.EndCloseEvent, told(qMRMLNodeComboBox._closed))]
        self._refill()

    def _added(self, node: Any) -> None:
        if self._is_listed(node):
            self._refill()
            self.nodeAdded.emit(node)

    def _going(self, node: Any) -> None:
        if self._is_listed(node) and not self._scene.IsClosing():
            self.nodeAboutToBeRemoved.emit(node)
            self._refill(without=node)

    def _closed(self, no_node: None) -> None:
        self._refill()

    def _nodes(self, without: Any = None) -> list[Any]:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(i) for i in range(self._scene.GetNumberOfNodes())]
        return [node for node in nodes if node is not without and self._is_listed(node)]

    def _is_listed(self, node: Any) -> bool:
        is_kind = node.IsA if self._children else (lambda name: node.GetClassName() == name)
        if not any(is_kind(name) for name in self._types) or (node.GetHideFromEditors() and not self._hidden):
            return False
        if any(node.IsA(name) for name in self._hidden_types):
            return False
        for (kind, name), value in self._attributes.items():
            if node.IsA(kind) and (node.GetAttribute(name) is None or value not in (None, node.GetAttribute(name))):
                return False
        return True

    # the list

    def _refill(self, without: Any = None) -> None:
        """Fill the inner list anew. As in Slicer the row stays where the current node is gone."""
        nodes = self._nodes(without)
        row = raw(self._combo, "currentIndex")()
        self._observe_names(nodes)
        raw(self._combo, "blockSignals")(True)
        raw(self._combo, "clear")()
        if self._none:
            raw(self._combo, "addItem")(self._none_text, "")
        for node in nodes:
            raw(self._combo, "addItem")(node.GetName() or "", node.GetID())
        found = raw(self._combo, "findData")(self._current)
        if found < 0:
            found = min(max(row, 0), raw(self._combo, "count")() - 1)
        raw(self._combo, "setCurrentIndex")(found)
        raw(self._combo, "blockSignals")(False)
        self._picked(found)

    def _observe_names(self, nodes: list[Any]) -> None:
        for node, tag in self._node_tags.values():
            node.RemoveObserver(tag)
        me = weakref.ref(self)

        def renamed(caller: Any, event: str) -> None:
            box = me()
            row = raw(box._combo, "findData")(caller.GetID()) if box is not None else -1
            if row >= 0 and raw(box._combo, "itemText")(row) != (caller.GetName() or ""):
                raw(box._combo, "setItemText")(row, caller.GetName() or "")
                if caller.GetID() == box._current:
                    box.currentNodeRenamed.emit(caller.GetName())

        self._node_tags = {node.GetID(): (node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, renamed))
                           for node in nodes}

    def _picked(self, row: int) -> None:
        identifier = (raw(self._combo, "itemData")(row) or "") if row >= 0 else ""
        if identifier == self._current:
            return
        self._current = identifier
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self._currentNodeChangedBool.emit(node is not None)
        self.currentNodeIDChanged.emit(identifier)

    def currentNode(self) -> Any:
        """The picked node, or None."""
        return self._scene.GetNodeByID(self._current) if self._scene is not None and self._current else None

    def setCurrentNode(self, node: Any) -> None:
        """Pick a node, given itself or by ID; one that is not listed picks nothing."""
        identifier = node if isinstance(node, str) else (node.GetID() if node is not None else "")
        row = raw(self._combo, "findData")(identifier or "")
        raw(self._combo, "setCurrentIndex")(row)
        if row < 0:
            self._picked(-1)

    def setCurrentNodeID(self, identifier: str) -> None:
        """Pick by ID."""
        self.setCurrentNode(identifier or "")

    def setCurrentNodeIndex(self, index: int) -> None:
        """Pick by place among the nodes."""
        raw(self._combo, "setCurrentIndex")(index + int(self._none))

    def nodeCount(self) -> int:
        """How many nodes are listed, without None."""
        return raw(self._combo, "count")() - int(self._none)

    def nodeFromIndex(self, index: int) -> Any:
        """The node at a place, None where there is none."""
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, kind: str = "") -> Any:
        """Make a node of the first type, as the user does with the list's own entry."""
        node = self._scene.AddNewNodeByClass(kind or self._types[0], self.baseName)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        """Remove the picked node from the scene."""
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())

    def addAttribute(self, kind: str, name: str, value: str | None = None) -> None:
        """List nodes of a kind only with this attribute, and value where one is given."""
        self._attributes[kind, name] = value
        self._refill()

    def removeAttribute(self, kind: str, name: str) -> None:
        """Undo `addAttribute`."""
        self._attributes.pop((kind, name), None)
        self._refill()

    # Qt properties

    def _set(self, name: str, value: Any) -> None:
        setattr(self, name, value)
        self._refill()

    nodeTypes = StandInProperty("QStringList", lambda self: self._types, lambda self, v: self._set("_types", tuple(v)))
    hideChildNodeTypes = StandInProperty("QStringList", lambda self: self._hidden_types,
                                         lambda self, v: self._set("_hidden_types", tuple(v)))
    showChildNodeTypes = StandInProperty(bool, lambda self: self._children, lambda self, v: self._set("_children", v))
    showHidden = StandInProperty(bool, lambda self: self._hidden, lambda self, v: self._set("_hidden", v))
    noneEnabled = StandInProperty(bool, lambda self: self._none, lambda self, v: self._set("_none", v))
    noneDisplay = StandInProperty(str, lambda self: self._none_text, lambda self, v: self._set("_none_text", v))
    currentNodeID = StandInProperty(str, lambda self: self._current, setCurrentNodeID)
    currentNodeId = StandInProperty(str, lambda self: self._current, setCurrentNodeID)
