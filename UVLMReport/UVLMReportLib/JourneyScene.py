"""Ground for the journeys: phantoms as volumes, waiting for what comes later, painting in masks, reading back."""

import json
import os
import time

import numpy
import slicer
import vtk

from UVLMReportLib.SegmentationNodes import (
    LABELMAP,
    TAG_LABEL,
    TAG_PROBABILITY,
    imageArray,
    segmentIds,
    tagOf,
    vtkMatrix,
)
from UVLMShared.Bootstrap import makeCoreImportable

SEED, SHAPE = 21, (72, 96, 96)


def waitFor(condition, seconds, what):
    """Lets the application live until `condition()` is true.

    Raises:
        AssertionError: it was not within `seconds`; `what` says what was waited for.
    """
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not come within {seconds} s"
        slicer.app.processEvents()
        time.sleep(0.005)


def phantomVolume(seed=SEED, name="Phantom", shape=SHAPE, rotation=None):
    """A synthetic CT with findings as a volume node.

    Args:
        rotation: 3x3 that turns the volume's own directions about its origin, for oblique volumes.
    """
    makeCoreImportable()
    from uvlm_core.phantom.generator import make_phantom

    case = make_phantom(seed, shape, region="both", share=0.5)
    matrix = case.volume.ijk_to_ras.copy()
    if rotation is not None:
        matrix[:3, :3] = rotation @ matrix[:3, :3]
    return slicer.util.addVolumeFromArray(numpy.ascontiguousarray(case.volume.array), vtkMatrix(matrix), name)


def turned(degrees):
    """3x3 of a turn about the axis from foot to head."""
    angle = numpy.deg2rad(degrees)
    return numpy.array([[numpy.cos(angle), -numpy.sin(angle), 0], [numpy.sin(angle), numpy.cos(angle), 0], [0, 0, 1]])


def bentTransform():
    """A transform node that is not linear (though it moves nothing)."""
    points = vtk.vtkPoints()
    for place in ((0, 0, 0), (100, 0, 0), (0, 100, 0), (0, 0, 100)):
        points.InsertNextPoint(place)
    bend = vtk.vtkThinPlateSplineTransform()
    bend.SetSourceLandmarks(points)
    bend.SetTargetLandmarks(points)
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    transform.SetAndObserveTransformToParent(bend)
    return transform


def eraseHalf(segmentationNode, segmentId):
    """Takes the half of a mask away that lies at higher i, as an eraser would; returns the number of voxels taken."""
    segment = segmentationNode.GetSegmentation().GetSegment(segmentId)
    image = segment.GetRepresentation(LABELMAP)
    array = imageArray(image)
    places = numpy.argwhere(array == segment.GetLabelValue())
    upper = places[numpy.argsort(places[:, 2], kind="stable")][len(places) // 2:]
    array[tuple(upper.T)] = 0
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    return len(upper)


def drawBall(segmentationNode, volumeNode, name, centre, radius):
    """A new segment in a layer of its own, as the Segment Editor makes it; returns its id.

    Args:
        centre: (k, j, i) voxel. radius: voxels.
    """
    segmentId = segmentationNode.GetSegmentation().AddEmptySegment("", name)
    shape = volumeNode.GetImageData().GetDimensions()[::-1]
    k, j, i = numpy.ogrid[:shape[0], :shape[1], :shape[2]]
    ball = (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 <= radius ** 2
    slicer.util.updateSegmentBinaryLabelmapFromArray(ball.astype(numpy.uint8), segmentationNode, segmentId, volumeNode)
    return segmentId


def drained(steps):
    """What a generator for InSteps returns."""
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def tagsOf(study):
    """(id, name, label, probability) of each segment."""
    segmentation = study.segmentationNode.GetSegmentation()
    return [(name, segmentation.GetSegment(name).GetName(), tagOf(segmentation.GetSegment(name), TAG_LABEL),
             tagOf(segmentation.GetSegment(name), TAG_PROBABILITY)) for name in segmentIds(segmentation)]


def tableOf(study):
    """The texts of the table of findings, row by row."""
    table = study.tableNode.GetTable()
    return [[str(table.GetValue(row, column)) for column in range(table.GetNumberOfColumns())]
            for row in range(table.GetNumberOfRows())]


def measurementsBut(study, segmentId):
    """Measurements of all masks but one."""
    return [row for row in study.report.measurements if row["segment"] != segmentId]


def tellsOneSide(sentence):
    """Whether a sentence about a mask says left or right, and not both."""
    sides = [side for side in ("left", "right") if f" {side} " in sentence.text]
    return len(sides) == 1 and bool(sentence.findings) and bool(sentence.segments)


def readText(path):
    """The content of a text file."""
    with open(path, encoding="utf-8") as file:
        return file.read()


def readJson(folder, name):
    """The content of a JSON file in a folder."""
    return json.loads(readText(os.path.join(folder, name)))
