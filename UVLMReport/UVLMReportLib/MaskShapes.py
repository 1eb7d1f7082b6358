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
    """Checksums of one label map: per slice, and per slice and value."""

    def __init__(self, image):
        self.extent = image.GetExtent()
        self.checksums, self.voxels, self.places = [], [], []

    def reading(self, image, before):
        """Fills the lists; slices that are as they were `before` (a _Layer or None) are taken from there."""
        array = imageArray(image)
        if before is not None and before.extent != self.extent:
            before = None
        weights = _weights(self.extent)
        nothing = zlib.crc32(bytes(array[0].nbytes)) if len(array) else 0
        for k, plane in enumerate(array):
            checksum = zlib.crc32(numpy.ascontiguousarray(plane))
            if before is not None and before.checksums[k] == checksum:
                counted = before.voxels[k], before.places[k]
            elif checksum == nothing:
                counted = _NOTHING, _NOTHING
            else:
                values = plane.ravel()
                counted = numpy.bincount(values), numpy.bincount(values, weights)
            self.checksums.append(checksum)
            self.voxels.append(counted[0])
            self.places.append(counted[1])
            yield

    def shapeOf(self, value):
        """{k: (voxels, checksum of places)} of the slices where `value` occurs; k counts as in the image's extent."""
        return {k + self.extent[4]: (int(voxels[value]), float(places[value]))
                for k, (voxels, places) in enumerate(zip(self.voxels, self.places, strict=True))
                if value < len(voxels) and voxels[value]}


_NOTHING = numpy.zeros(1)


def _weights(extent):
    """A number for each place (j, i) of a slice, the same whatever part of the grid the image covers."""
    i = numpy.arange(extent[0], extent[1] + 1, dtype=numpy.int64)
    j = numpy.arange(extent[2], extent[3] + 1, dtype=numpy.int64)
    mixed = (i[None, :] * 73856093) ^ (j[:, None] * 19349663)
    return (mixed & 0xFFFF).astype(numpy.float64).ravel()  # sums stay exact: 2^16 times the voxels of a slice
