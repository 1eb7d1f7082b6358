"""The scene and the logics of a Slicer that has just started: all real, from slicer-core."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOGICS = {  # module: class of its logic, beyond the colours' that comes with the application
    "Volumes": "vtkSlicerVolumesLogic", "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic", "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic", "Tables": "vtkSlicerTablesLogic", "Texts": "vtkSlicerTextsLogic",
    "Transforms": "vtkSlicerTransformLogic", "Plots": "vtkSlicerPlotsLogic", "Units": "vtkSlicerUnitsLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic", "Cameras": "vtkSlicerCamerasModuleLogic",
    "Sequences": "vtkSlicerSequencesLogic", "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
}


@dataclass
class Mrml:
    """What `start` made."""

    scene: Any
    application: Any
    logics: dict[str, Any] = field(default_factory=dict)


def make_scene(slicer: Any, temporary: Path) -> Mrml:
    """The scene with the application's logic, the modules' logics and the way to read and write .mrb files."""
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetTemporaryPath(str(temporary))
    application.SetMRMLScene(scene)
    colors = application.GetColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    application.SetModuleLogic("Colors", colors)
    mrml = Mrml(scene, application, {"Colors": colors})
    for module, name in LOGICS.items():
        logic = getattr(slicer, name)()
        logic.SetMRMLApplicationLogic(application)
        if module != "Terminologies":  # it would look for files of the application, which the wheel has not
            logic.SetMRMLScene(scene)
        application.SetModuleLogic(module, logic)
        mrml.logics[module] = logic
    _add_remote_io(slicer, mrml, temporary)
    return mrml


def _add_remote_io(slicer: Any, mrml: Mrml, temporary: Path) -> None:
    """Reading a .mrb goes through the classes that also load from a network; they need a cache folder."""
    cache = temporary / "RemoteIO"
    cache.mkdir(parents=True, exist_ok=True)
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(mrml.scene)
    remote.AddDataIOToScene()
    manager = slicer.vtkDataIOManagerLogic()
    manager.SetMRMLApplicationLogic(mrml.application)
    manager.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.GetCacheManager().SetRemoteCacheDirectory(str(cache))
    mrml.logics["RemoteIO"], mrml.logics["DataIO"] = remote, manager
