"""Surfaces of masks for the 3-D view, made one after the other, so that the window stays alive."""

import math

import numpy
import slicer
import vtk

from UVLMReportLib.SegmentationNodes import LABELMAP, cuttingOut, orientedImage, segmentIds
from UVLMShared.InSteps import ALONE

CLOSED_SURFACE = "Closed surface"
FINE_VOXELS = 350_000  # of a mask's box, up to which every voxel counts; Slicer takes some 70 ms for so many
COARSE_MM = (1.0, 1.5, 2.0, 2.5, 3.0, 4.0)  # of the voxels that a larger one is looked at with; 4 for all ribs
PARAMETERS = ("Smoothing factor", "Decimation factor", "Compute surface normals", "Conversion method")


def haveSurfaces(segmentation):
    """Whether every mask has its surface."""
    return all(segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE) is not None
               for name in segmentIds(segmentation))


def makingSurfaces(segmentationNode):
    """Makes the surfaces that are missing; a generator for InSteps.

    Slicer's own conversion of all masks at once goes over the whole label map for each of them: on a scan of
    512 x 512 x 300 voxels with twenty masks the window would stand still for ten seconds. Here Slicer converts each
    mask by itself, cut out of the label map; the surface is the same. Of a large organ it sees only voxels up to 4 mm
    apart, or its surface alone would take up to a second.
    """
    segmentation = segmentationNode.GetSegmentation()
    for name in _order(segmentation):
        if segmentation.GetSegment(name) is None or segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE):
            continue
        found = yield from cuttingOut(segmentation, name)
        yield ALONE
        surface = _surface(segmentation, *found) if found is not None else vtk.vtkPolyData()
        segment = segmentation.GetSegment(name)
        if segment is not None:
            segment.AddRepresentation(CLOSED_SURFACE, surface)
        yield


def _order(segmentation):
    """Ids of the segments, last the two that Slicer takes for all: what these have, it makes for the others at once.
    The segmentation looks at the first by name, its display node at the first of the list."""
    first = segmentation.GetNthSegmentID(0)
    return sorted(segmentIds(segmentation), key=lambda name: (name != first, name), reverse=True)


def everyNth(shape, spacing):
    """Every how many voxels a mask is looked at along (z, y, x).

    Args:
        shape: (Z, Y, X) of its box; spacing: (z, y, x) mm.
    """
    steps = [1, 1, 1]
    for coarse in COARSE_MM:
        if math.prod(math.ceil(size / step) for size, step in zip(shape, steps, strict=True)) <= FINE_VOXELS:
            break
        steps = [max(1, int(coarse / own + 0.01)) for own in spacing]
    return steps


def _surface(segmentation, mask, toRas):
    """vtkPolyData of a mask, as Slicer makes it with the parameters of the segmentation."""
    from vtk.util import numpy_support

    steps = everyNth(mask.shape, numpy.linalg.norm(toRas[:3, 2::-1], axis=0))
    mask = numpy.ascontiguousarray(mask[tuple(slice(None, None, step) for step in steps)])
    toRas = toRas @ numpy.diag([*steps[::-1], 1.0])
    scalars = numpy_support.numpy_to_vtk(mask.view("uint8").ravel(), deep=True)
    alone, segment = slicer.vtkSegmentation(), slicer.vtkSegment()
    for parameter in PARAMETERS:
        alone.SetConversionParameter(parameter, segmentation.GetConversionParameter(parameter))
    segment.AddRepresentation(LABELMAP, orientedImage(scalars, mask.shape, toRas))
    alone.AddSegment(segment, "mask")
    alone.CreateRepresentation(CLOSED_SURFACE)
    return segment.GetRepresentation(CLOSED_SURFACE)
