"""qMRMLSegmentEditorWidget: which segmentation, volume and segment are edited. It draws nothing by itself."""

from __future__ import annotations

from typing import Any

from PySide6 import QtCore, QtWidgets

from .mrml_widgets import SceneHolder
from .segments_table import qMRMLSegmentsTableView
from .stand_in import stand_in
from .stored import stored

EFFECTS = ("Paint", "Draw", "Erase", "Level tracing", "Grow from seeds", "Fill between slices", "Threshold", "Margin",
           "Hollow", "Smoothing", "Scissors", "Islands", "Logical operators", "Mask volume")


@stand_in
class qMRMLSegmentEditorWidget(SceneHolder):
    """Its state lives in a vtkMRMLSegmentEditorNode, as in Slicer."""

    currentSegmentIDChanged = QtCore.Signal(str)
    segmentationNodeChanged = QtCore.Signal(object)
    sourceVolumeNodeChanged = QtCore.Signal(object)
    masterVolumeNodeChanged = QtCore.Signal(object)
    vars().update(stored("qMRMLSegmentEditorWidget", addRemoveSegmentButtonsVisible=True, autoShowSourceVolumeNode=True,
                         autoShowMasterVolumeNode=True, defaultTerminologyEntry="",
                         defaultTerminologyEntrySettingsKey="", effectColumnCount=2,
                         jumpToSelectedSegmentEnabled=False, maskingSectionVisible=True,
                         masterVolumeNodeSelectorVisible=True, readOnly=False, segmentationNodeSelectorVisible=True,
                         show3DButtonVisible=True, sourceVolumeNodeSelectorVisible=True,
                         specifyGeometryButtonVisible=True,
                         switchToSegmentationsButtonVisible=True, undoEnabled=True, unorderedEffectsVisible=True,
                         maximumNumberOfUndoStates=10))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node: Any = None
        self._effect = ""
        self._table = qMRMLSegmentsTableView()
        self._table.setObjectName("SegmentsTableView")
        layout = QtWidgets.QVBoxLayout(self)
        layout.addWidget(self._table)
        self._table.connect("selectionChanged(QItemSelection,QItemSelection)", self._selected)

    def mrmlScene(self) -> Any:
        """The scene."""
        return self._scene

    def mrmlSegmentEditorNode(self) -> Any:
        """The node that holds the state."""
        return self._node

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        """Use another node for the state."""
        self._node = node
        self._table.setSegmentationNode(self.segmentationNode())

    # what is edited

    def segmentationNode(self) -> Any:
        """The segmentation, or None."""
        return self._node.GetSegmentationNode() if self._node is not None else None

    def segmentationNodeID(self) -> str:
        """Its ID, or nothing."""
        node = self.segmentationNode()
        return node.GetID() if node is not None else ""

    def setSegmentationNode(self, node: Any) -> None:
        """Edit another segmentation; without a node for the state nothing happens, as in Slicer."""
        if self._node is None or node is self.segmentationNode():
            return
        self._node.SetAndObserveSegmentationNode(node)
        self._table.setSegmentationNode(node)
        self.segmentationNodeChanged.emit(node)
        filled = node is not None and node.GetSegmentation().GetNumberOfSegments() > 0
        self.setCurrentSegmentID(node.GetSegmentation().GetNthSegmentID(0) if filled else "")

    def setSegmentationNodeID(self, identifier: str) -> None:
        """By ID."""
        self.setSegmentationNode(self._scene.GetNodeByID(identifier) if identifier else None)

    def sourceVolumeNode(self) -> Any:
        """The volume, or None."""
        return self._node.GetSourceVolumeNode() if self._node is not None else None

    def sourceVolumeNodeID(self) -> str:
        """Its ID, or nothing."""
        node = self.sourceVolumeNode()
        return node.GetID() if node is not None else ""

    def setSourceVolumeNode(self, node: Any) -> None:
        """Edit on another volume; it is shown in the slice views."""
        if self._node is None or node is self.sourceVolumeNode():
            return
        self._node.SetAndObserveSourceVolumeNode(node)
        if node is not None and self.autoShowSourceVolumeNode:
            import slicer

            slicer.util.setSliceViewerLayers(background=node)
        self.sourceVolumeNodeChanged.emit(node)
        self.masterVolumeNodeChanged.emit(node)

    def setSourceVolumeNodeID(self, identifier: str) -> None:
        """By ID."""
        self.setSourceVolumeNode(self._scene.GetNodeByID(identifier) if identifier else None)

    def masterVolumeNode(self) -> Any:
        """The older name."""
        return self.sourceVolumeNode()

    def setMasterVolumeNode(self, node: Any) -> None:
        """The older name."""
        self.setSourceVolumeNode(node)

    def currentSegmentID(self) -> str:
        """The selected segment, or nothing."""
        return (self._node.GetSelectedSegmentID() or "") if self._node is not None else ""

    def setCurrentSegmentID(self, identifier: str) -> None:
        """Select a segment."""
        if self._node is None or identifier == self.currentSegmentID():
            return
        self._node.SetSelectedSegmentID(identifier)
        self._table.setSelectedSegmentIDs([identifier] if identifier else [])
        self.currentSegmentIDChanged.emit(identifier)

    def _selected(self, *ignored) -> None:
        chosen = self._table.selectedSegmentIDs()
        if chosen:
            self.setCurrentSegmentID(chosen[0])

    # effects, by name only

    def availableEffectNames(self) -> tuple[str, ...]:
        """The names of Slicer's own effects."""
        return EFFECTS

    def setActiveEffectByName(self, name: str) -> None:
        """Choose a tool."""
        self._effect = name if name in EFFECTS else ""
        if self._node is not None:
            self._node.SetActiveEffectName(self._effect)

    def setActiveEffect(self, effect: Any) -> None:
        """Choose no tool with None; the harness has no effects."""
        if effect is not None:
            raise TypeError("the harness has no effects of the Segment Editor")
        self.setActiveEffectByName("")

    def activeEffect(self) -> Any:
        """None: there are no effects."""

    def setMaximumNumberOfUndoStates(self, count: int) -> None:
        """As writing `maximumNumberOfUndoStates`."""
        self.maximumNumberOfUndoStates = count

    def updateWidgetFromMRML(self) -> None:
        """Show what the node says."""
        self._table.setSegmentationNode(self.segmentationNode())

    def installKeyboardShortcuts(self, widget: Any = None) -> None:
        """None to install."""

    def uninstallKeyboardShortcuts(self) -> None:
        """None to uninstall."""

    def setupViewObservations(self) -> None:
        """None to set up."""

    def removeViewObservations(self) -> None:
        """None to remove."""
