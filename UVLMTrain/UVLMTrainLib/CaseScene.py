"""Loads a case of the table into the scene: its scan and its masks as a segmentation."""

import os

import slicer
import vtk
from slicer.i18n import tr as _

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
    clear()
    try:
        volume = slicer.util.loadVolume(row.image, {"name": row.name})
    except RuntimeError as error:
        raise CaseTrouble(_("Slicer cannot read '{file}'. See what the check says of it.").format(
            file=row.image)) from error
    volume.SetAttribute(MARK, row.name)
    display = volume.GetDisplayNode()
    if display is not None:
        display.AutoWindowLevelOff()
        display.SetWindowLevel(400, 40)
    if not row.hasMasks:
        return volume, None
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode",
                                                      _("{name} masks").format(name=row.name))
    segmentation.SetAttribute(MARK, row.name)
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    labels, names = row.labels
    if labels:
        _add(segmentation, labels, names, "")
    for name, paths in row.masks.items():
        for path in paths:
            _add(segmentation, path, {}, name)
    return volume, segmentation


def clear():
    """Takes the case that was shown before out of the scene."""
    for kind in ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode"):
        for node in slicer.util.getNodesByClass(kind):
            if node.GetAttribute(MARK):
                slicer.mrmlScene.RemoveNode(node)


def _add(segmentation, path, names, name):
    """One file of masks; its segments are called by their value's name, or all by `name`."""
    try:
        node = slicer.util.loadLabelVolume(path)
    except RuntimeError as error:
        raise CaseTrouble(_("The masks '{file}' cannot be read. See what the check says of them.").format(
            file=os.path.basename(path))) from error
    own = segmentation.GetSegmentation()
    before = own.GetNumberOfSegments()
    try:
        slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(node, segmentation)
    finally:
        slicer.mrmlScene.RemoveNode(node)
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
