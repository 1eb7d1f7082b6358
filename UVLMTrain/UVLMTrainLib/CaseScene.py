"""Loads a case into the scene: its scan, and its masks, or true and predicted ones, as segmentations."""

import os

import slicer
import vtk
from slicer.i18n import tr as _

from UVLMShared.Removing import removeNode

READABLE = (".nii.gz", ".nii", ".nrrd", ".nhdr", ".mha", ".mhd")
MARK = "UVLM.trainingCase"


class CaseTrouble(Exception):
    """The case cannot be shown; str() says why."""


def show(row):
    """Loads scan and masks of a CaseRow in place of the case shown before; Slicer's own reading stops the window.

    Returns:
        (volume node, segmentation node or None).

    Raises:
        CaseTrouble: no scan, one that Slicer cannot read, or masks that cannot be read (the scan is shown then).
    """
    if not row.image:
        raise CaseTrouble(_("'{name}' has no scan that could be shown.").format(name=row.name))
    if not row.image.lower().endswith(READABLE):
        raise CaseTrouble(_("'{file}' is not a file that can be shown here; a DICOM folder opens in the module DICOM.")
                          .format(file=row.image))
    volume = _showScan(row.image, row.name)
    if not row.hasMasks:
        return volume, None
    segmentation = _newSegmentation(_("{name} masks").format(name=row.name), row.name, volume)
    labels, names = row.labels
    if labels:
        _add(segmentation, labels, names, "")
    for name, paths in row.masks.items():
        for path in paths:
            _add(segmentation, path, {}, name)
    return volume, segmentation


def showPrediction(case):
    """Loads scan, true masks (filled) and predicted masks (outlines) of a ResultRows.WorstCase.

    Returns:
        (volume node, [segmentation nodes]): the truth first, where there is one.

    Raises:
        CaseTrouble: a file is gone or Slicer cannot read it.
    """
    from uvlm_core.labels import labels

    if not case.file("image.nii.gz"):
        raise CaseTrouble(_("The files of '{name}' are gone from the run folder; measure the model again.").format(
            name=case.name))
    volume = _showScan(case.file("image.nii.gz"), case.name)
    titles, colours = {label.id: label.title for label in labels()}, {label.title: label.color for label in labels()}
    made = []
    for file, title, filled in (("truth.nii.gz", _("{name} truth"), True),
                                ("predicted.nii.gz", _("{name} predicted"), False)):
        if not case.file(file):
            continue
        segmentation = _newSegmentation(title.format(name=case.name), case.name, volume)
        _add(segmentation, case.file(file), titles, "")
        for number in range(segmentation.GetSegmentation().GetNumberOfSegments()):
            segment = segmentation.GetSegmentation().GetNthSegment(number)
            if segment.GetName() in colours:
                segment.SetColor(*[channel / 255 for channel in colours[segment.GetName()]])
        display = segmentation.GetDisplayNode()
        display.SetVisibility2DFill(filled)
        display.SetVisibility2DOutline(not filled)
        made.append(segmentation)
    return volume, made


def _showScan(path, name):
    """The scan in a soft tissue window, in place of the case shown before."""
    clear()
    try:
        volume = slicer.util.loadVolume(path, {"name": name})
    except RuntimeError as error:
        raise CaseTrouble(_("Slicer cannot read '{file}'. See what the check says of it.").format(
            file=path)) from error
    volume.SetAttribute(MARK, name)
    display = volume.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevel(400, 40)
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    return volume


def _newSegmentation(title, name, volume):
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", title)
    segmentation.SetAttribute(MARK, name)
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    return segmentation


def clear():
    """Takes the case that was shown before out of the scene."""
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetAttribute(MARK):
                removeNode(node)


def _add(segmentation, path, names, name):
    """One file of masks; its segments are called by their value's name, or all by `name`."""
    try:
        node = slicer.util.loadLabelVolume(path, {"show": False})  # the scan stays where it is shown
    except RuntimeError as error:
        raise CaseTrouble(_("The masks '{file}' cannot be read. See what the check says of them.").format(
            file=os.path.basename(path))) from error
    own = segmentation.GetSegmentation()
    before = own.GetNumberOfSegments()
    try:
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(node, segmentation)
    finally:
        removeNode(node)
    for place in range(before, own.GetNumberOfSegments()):
        segment = own.GetNthSegment(place)
        known = names.get(segment.GetLabelValue(), name)
        if known:
            segment.SetName(known.replace("_", " "))


def segmentNames(segmentation):
    """Names of all segments."""
    identities = vtk.vtkStringArray()
    segmentation.GetSegmentation().GetSegmentIDs(identities)
    return [segmentation.GetSegmentation().GetSegment(identities.GetValue(number)).GetName()
            for number in range(identities.GetNumberOfValues())]
