"""Surfaces of masks for the 3-D view, made one after the other, so that the window stays alive."""

import slicer
import vtk

from UVLMReportLib.SegmentationNodes import LABELMAP, cuttingOut, orientedImage, segmentIds

CLOSED_SURFACE = "Closed surface"
PARAMETERS = ("Smoothing factor", "Decimation factor", "Compute surface normals", "Conversion method")


def haveSurfaces(segmentation):
    """Whether every mask has its surface."""
    return all(segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE) is not None
               for name in segmentIds(segmentation))


def makingSurfaces(segmentationNode):
    """Makes the surfaces that are missing; a generator for InSteps.

    Slicer's own conversion of all masks at once goes over the whole label map for each of them: on a scan of
    512 x 512 x 300 voxels with twenty masks the window would stand still for ten seconds. Here Slicer converts each
    mask by itself, cut out of the label map; the surface is the same. A large organ still takes some tenths of a
    second, the ribs one.
    """
    segmentation = segmentationNode.GetSegmentation()
    for name in segmentIds(segmentation):
        if segmentation.GetSegment(name) is None or segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE):
            continue
        found = yield from cuttingOut(segmentation, name)
        surface = _surface(segmentation, *found) if found is not None else vtk.vtkPolyData()
        segment = segmentation.GetSegment(name)
        if segment is not None:
            segment.AddRepresentation(CLOSED_SURFACE, surface)
        yield


def _surface(segmentation, mask, toRas):
    """vtkPolyData of a mask, as Slicer makes it with the parameters of the segmentation."""
    from vtk.util import numpy_support

    scalars = numpy_support.numpy_to_vtk(mask.view("uint8").ravel(), deep=True)
    alone, segment = slicer.vtkSegmentation(), slicer.vtkSegment()
    for parameter in PARAMETERS:
        alone.SetConversionParameter(parameter, segmentation.GetConversionParameter(parameter))
    segment.AddRepresentation(LABELMAP, orientedImage(scalars, mask.shape, toRas))
    alone.AddSegment(segment, "mask")
    alone.CreateRepresentation(CLOSED_SURFACE)
    return segment.GetRepresentation(CLOSED_SURFACE)
