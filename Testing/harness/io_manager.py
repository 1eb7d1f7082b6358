"""`slicer.app.coreIOManager()`: reads and writes files with MRML's own storage nodes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

READERS = {  # file type: (extensions, class of the node)
    "SegmentationFile": ((".seg.nrrd", ".seg.nhdr", ".seg.vtm"), "vtkMRMLSegmentationNode"),
    "MarkupsFile": ((".mrk.json", ".fcsv"), "vtkMRMLMarkupsFiducialNode"),
    "VolumeFile": ((".nrrd", ".nhdr", ".nii.gz", ".nii", ".mha", ".mhd", ".dcm"), "vtkMRMLScalarVolumeNode"),
    "ModelFile": ((".vtk", ".vtp", ".stl", ".obj", ".ply"), "vtkMRMLModelNode"),
    "TransformFile": ((".h5", ".tfm", ".mat"), "vtkMRMLLinearTransformNode"),
    "TableFile": ((".tsv", ".csv"), "vtkMRMLTableNode"),
    "TextFile": ((".txt", ".json", ".xml"), "vtkMRMLTextNode"),
}
WRITERS = {"vtkMRMLScalarVolumeNode": "VolumeFile", "vtkMRMLLabelMapVolumeNode": "VolumeFile"}


class qSlicerCoreIOManager:
    """The few calls through which slicer.util loads and saves; no choice of readers, no DICOM."""

    def __init__(self, mrml: Any) -> None:
        self._mrml = mrml

    def fileType(self, path: str) -> str:
        """What kind of file a name stands for, NoFile where none."""
        name = str(path).lower()
        if name.endswith((".mrb", ".mrml")):
            return "SceneFile"
        return next((kind for kind, (ends, _) in READERS.items() if name.endswith(ends)), "NoFile")

    def fileWriterFileType(self, node: Any, format: str = "") -> str:
        """What kind of file a node is written to."""
        kinds = {kind: name for name, (_, kind) in READERS.items()}
        return next((name for kind, name in {**kinds, **WRITERS}.items() if node.IsA(kind)), "NoFile")

    # reading

    def loadNodes(self, kind: str, properties: dict, loaded: Any, messages: Any = None) -> bool:
        """Load a file; the nodes are added to the collection `loaded`."""
        path = str(properties["fileName"])
        if not os.path.exists(path):
            return False
        if kind == "SceneFile":
            return self._load_scene(path, bool(properties.get("clear", False)))
        is_volume = kind == "VolumeFile"
        node = self._load_volume(path, properties) if is_volume else self._load_storable(kind, path, properties)
        if node is None:
            return False
        loaded.AddItem(node)
        if is_volume and properties.get("show", True):
            selection = self._mrml.application.GetSelectionNode()
            selection.SetActiveVolumeID(node.GetID())
            self._mrml.application.PropagateVolumeSelection(int(properties.get("fit", True)))
        return True

    def _load_scene(self, path: str, clear: bool) -> bool:
        if clear:
            self._mrml.scene.Clear(False)
        if path.lower().endswith(".mrb"):
            return bool(self._mrml.scene.ReadFromMRB(path, False))
        self._mrml.scene.SetURL(path)
        return bool(self._mrml.scene.Import())

    def _load_volume(self, path: str, properties: dict) -> Any:
        options = 1 if properties.get("labelmap") else 0
        options += (2 if properties.get("center") else 0) + (4 if properties.get("singleFile", True) else 0)
        name = properties.get("name") or _base_name(path)
        return self._mrml.logics["Volumes"].AddArchetypeVolume(path, name, options)

    def _load_storable(self, kind: str, path: str, properties: dict) -> Any:
        node = self._mrml.scene.AddNewNodeByClass(READERS[kind][1], properties.get("name") or _base_name(path))
        node.AddDefaultStorageNode(path)
        if not node.GetStorageNode().ReadData(node):
            self._mrml.scene.RemoveNode(node)
            return None
        if hasattr(node, "CreateDefaultDisplayNodes"):
            node.CreateDefaultDisplayNodes()
        return node

    # writing

    def saveNodes(self, kind: str, properties: dict, messages: Any = None) -> bool:
        """Save a node, or the scene to a .mrb or .mrml file or a folder."""
        path = str(properties["fileName"])
        if kind == "SceneFile":
            return self._save_scene(path)
        node = self._mrml.scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode(path)
        node.GetStorageNode().SetFileName(path)
        node.GetStorageNode().SetUseCompression(int(properties.get("useCompression", True)))
        return bool(node.GetStorageNode().WriteData(node))

    def _save_scene(self, path: str) -> bool:
        scene = self._mrml.scene
        if path.lower().endswith(".mrb"):
            return bool(scene.WriteToMRB(path))
        if path.lower().endswith(".mrml"):
            scene.SetURL(path)
            return bool(scene.Commit())
        Path(path).mkdir(parents=True, exist_ok=True)
        return bool(self._mrml.application.SaveSceneToSlicerDataBundleDirectory(path, None))

    def exportNodes(self, identifiers: Any, paths: Any, properties: dict, harden: bool, messages: Any = None) -> bool:
        """Write nodes to files without changing where they are saved."""
        return all(self._export(self._mrml.scene.GetNodeByID(i), path, harden)
                   for i, path in zip(identifiers, paths, strict=True))

    def _export(self, node: Any, path: str, harden: bool) -> bool:
        import slicer
        import vtk

        scene = slicer.vtkMRMLScene()
        copy = scene.AddNewNodeByClass(node.GetClassName(), node.GetName())
        copy.CopyContent(node)
        if harden and node.GetParentTransformNode() is not None:
            general = vtk.vtkGeneralTransform()
            slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(node.GetParentTransformNode(), None, general)
            copy.ApplyTransform(general)
        copy.AddDefaultStorageNode(path)
        copy.GetStorageNode().SetFileName(path)
        return bool(copy.GetStorageNode().WriteData(copy))

    def extractKnownExtension(self, path: str, node: Any) -> str:
        """The part of a name that says how a node is written."""
        ends = READERS.get(self.fileWriterFileType(node), ((),))[0]
        return next((end for end in ends if path.lower().endswith(end)), Path(path).suffix)

    def fileWriterExtensions(self, node: Any) -> tuple[str, ...]:
        """The formats a node can be written in, as "name (.ext)"."""
        return tuple(f"{end} ({end})" for end in READERS.get(self.fileWriterFileType(node), ((),))[0])


def _base_name(path: str) -> str:
    name = Path(path).name
    for ends, _ in READERS.values():
        for end in ends:
            if name.lower().endswith(end):
                return name[: -len(end)]
    return Path(path).stem
