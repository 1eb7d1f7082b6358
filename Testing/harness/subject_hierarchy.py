"""Items of the subject hierarchy for the nodes of the scene. In Slicer plugins of the application make them."""

from __future__ import annotations

from typing import Any

import vtk

SHOWN = ("vtkMRMLVolumeNode", "vtkMRMLSegmentationNode", "vtkMRMLModelNode", "vtkMRMLMarkupsNode", "vtkMRMLTableNode",
         "vtkMRMLTextNode", "vtkMRMLTransformNode", "vtkMRMLPlotChartNode", "vtkMRMLPlotSeriesNode",
         "vtkMRMLSequenceNode", "vtkMRMLSequenceBrowserNode")


class SubjectHierarchyItems:
    """Gives every shown data node an item, and takes it away with the node."""

    def __init__(self, slicer: Any, scene: Any) -> None:
        self._class, self._scene = slicer.vtkMRMLSubjectHierarchyNode, scene

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def added(caller: Any, event: str, node: Any) -> None:
            if not scene.IsImporting():
                self._add(node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def removed(caller: Any, event: str, node: Any) -> None:
            if not scene.IsClosing():
                self._remove(node)

        scene.AddObserver(scene.NodeAddedEvent, added)
        scene.AddObserver(scene.NodeRemovedEvent, removed)
        scene.AddObserver(scene.EndImportEvent, lambda caller, event: self._add_missing())

    def _hierarchy(self) -> Any:
        return self._class.GetSubjectHierarchyNode(self._scene)

    def _add(self, node: Any) -> None:
        if node.GetHideFromEditors() or not any(node.IsA(kind) for kind in SHOWN):
            return
        hierarchy = self._hierarchy()
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    def _remove(self, node: Any) -> None:
        hierarchy = self._hierarchy()
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None and node is not hierarchy else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _add_missing(self) -> None:
        for index in range(self._scene.GetNumberOfNodes()):
            self._add(self._scene.GetNthNode(index))
