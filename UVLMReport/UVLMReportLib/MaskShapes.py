"""What each segment looks like, as numbers per slice: enough to tell which one an edit changed, and where it lies."""

import zlib

import numpy

from UVLMReportLib.SegmentationNodes import imageArray, layersOf


class MaskShapes:
    """Keeps, per segment and slice, the number of voxels and a checksum of their places.

    Slicer tells that a segmentation changed, but with several segments in one label map not which of them; and tools
    such as smoothing, islands or undo change many. An unchanged slice costs one CRC; a changed one is counted.
    """

    def __init__(self):
        self._layers = {}  # address of the image -> _Layer
        self._segments = {}  # segment id -> {k: (voxels, checksum)}

    def updating(self, segmentation):
        """Looks at all slices; a generator for InSteps; returns the ids whose masks differ from the last time (a set).

        New segments count as changed, removed ones do not.
        """
        layers, segments = {}, {}
        for image, values in layersOf(segmentation):
            layer = _Layer(image)
            yield from layer.reading(image, self._layers.get(image.__this__))
            layers[image.__this__] = layer
            for value, segmentId in values.items():
                segments[segmentId] = layer.shapeOf(value)
        changed = {name for name, shape in segments.items() if shape != self._segments.get(name)}
        self._layers, self._segments = layers, segments
        return changed

    def voxelsOf(self, segmentId):
        """Number of voxels of a mask when it was last looked at."""
        return sum(count for count, _checksum in self._segments.get(segmentId, {}).values())

    def slicesOf(self, segmentId):
        """(first, last) index k of the slices that the mask is in; None for an empty or unknown one."""
        slices = self._segments.get(segmentId)
        return (min(slices), max(slices)) if slices else None

    def largestSlice(self, segmentId):
        """The index k of the slice with most voxels of the mask; None for an empty or unknown one."""
        slices = self._segments.get(segmentId)
        return max(slices, key=lambda k: slices[k][0]) if slices else None


class _Layer:
    """Checksums of one label map: per slice, and per slice and value.

    Of each slice only the box of what is in it is looked at, under its place on the whole grid: the Segment Editor
    makes a label map smaller or larger after each stroke, and that alone must not look like a change.
    """

    def __init__(self, image):
        self._extent = image.GetExtent()
        self._slices = {}  # k -> (checksum, voxels of each value, checksum of the places of each value)

    def reading(self, image, before):
        """Fills the slices; those that are as they were `before` (a _Layer or None) are taken from there."""
        known, weights = before._slices if before is not None else {}, None
        for k, plane in enumerate(imageArray(image), self._extent[4]):
            box = _boxOf(plane)
            if box is not None:
                part = numpy.ascontiguousarray(plane[box])
                checksum = zlib.crc32(part), box[0].start + self._extent[2], box[1].start + self._extent[0], part.shape
                if k in known and known[k][0] == checksum:
                    self._slices[k] = known[k]
                else:
                    weights = _weights(self._extent) if weights is None else weights
                    values = part.ravel()
                    self._slices[k] = (checksum, numpy.bincount(values),
                                       numpy.bincount(values, weights[box].ravel()))
            yield

    def shapeOf(self, value):
        """{k: (voxels, checksum of places)} of the slices where `value` occurs; k counts as in the image's extent."""
        return {k: (int(voxels[value]), float(places[value])) for k, (_checksum, voxels, places) in self._slices.items()
                if value < len(voxels) and voxels[value]}


def _boxOf(plane):
    """Two slices (rows, columns) around all that is not 0; None for an empty plane."""
    rows = numpy.flatnonzero(plane.max(1, initial=0))
    if not rows.size:
        return None
    columns = numpy.flatnonzero(plane[rows[0]:rows[-1] + 1].max(0))
    return slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)


def _weights(extent):
    """A number for each place (j, i) of a slice, the same whatever part of the grid the image covers."""
    i = numpy.arange(extent[0], extent[1] + 1, dtype=numpy.int64)
    j = numpy.arange(extent[2], extent[3] + 1, dtype=numpy.int64)
    mixed = (i[None, :] * 73856093) ^ (j[:, None] * 19349663)
    return (mixed & 0xFFFF).astype(numpy.float64)  # sums stay exact: 2^16 times the voxels of a slice
