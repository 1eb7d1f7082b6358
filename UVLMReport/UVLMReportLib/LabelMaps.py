"""The corrected masks as one label map on the scan's own grid, with the numbers of Resources/Labels/labels.json."""

import numpy

from UVLMReportLib.SegmentationNodes import (
    TAG_LABEL,
    betweenNodes,
    imageArray,
    imageMatrix,
    layersOf,
    tagOf,
)
from UVLMReportLib.VolumeInput import arrayOf, ijkToRas


def labelTable(segmentation, values, largest):
    """An array that turns the values of a layer into label numbers; segments without a label become 0.

    Args:
        values: {value: segment id} of the layer. largest: the largest value that occurs in it.
    """
    from uvlm_core.labels import labels

    numbers = {label.name: label.id for label in labels()}
    table = numpy.zeros(max(largest, *values, 0) + 1, numpy.uint8)
    for value, name in values.items():
        table[value] = numbers.get(tagOf(segmentation.GetSegment(name), TAG_LABEL), 0)
    return table


def makingLabelMap(study, step=1):
    """(Z, Y, X) uint8 on the grid of the study's volume; a generator for InSteps, returns the array.

    Where masks overlap, lesions lie over organs (their numbers are higher). Masks on another grid are taken voxel by
    voxel from the nearest place.

    Args:
        step: only each step-th voxel along each axis, from the first one.
    """
    volume, node = study.volumeNode, study.segmentationNode
    segmentation, toVolume = node.GetSegmentation(), betweenNodes(node, volume)
    toRas, shape = ijkToRas(volume), arrayOf(volume).shape
    result = numpy.zeros([-(-size // step) for size in shape], numpy.uint8)
    for image, values in layersOf(segmentation):
        array = imageArray(image)
        table = labelTable(segmentation, values, int(array.max(initial=0)))
        yield
        toLayer = numpy.linalg.inv(toVolume @ imageMatrix(image)) @ toRas
        if numpy.allclose(toLayer[:3, :3], numpy.eye(3), atol=1e-4):
            yield from _addSameGrid(result, array, table, numpy.rint(toLayer[:3, 3]).astype(int)[::-1], step)
        else:
            yield from _addOtherGrid(result, array, table, toLayer, step)
    return result


def _addSameGrid(result, array, table, offset, step):
    """`offset` (k, j, i): the layer's index of the volume's first voxel."""
    low = numpy.maximum(-(offset // step), 0)
    high = numpy.minimum(result.shape, -((offset - array.shape) // step))
    rows, columns = (slice(low[axis], high[axis]) for axis in (1, 2))
    source = [slice(low[axis] * step + offset[axis], max(0, (high[axis] - 1) * step + offset[axis] + 1), step)
              for axis in (1, 2)]
    for k in range(low[0], high[0]):
        plane = array[k * step + offset[0], source[0], source[1]]
        numpy.maximum(result[k, rows, columns], table[plane], out=result[k, rows, columns])
        yield


def _addOtherGrid(result, array, table, toLayer, step):
    y, x = step * numpy.mgrid[:result.shape[1], :result.shape[2]]
    for z in range(result.shape[0]):
        places = toLayer[:3, :3] @ numpy.stack([x.ravel(), y.ravel(), numpy.full(x.size, z * step)]) + toLayer[:3, 3:]
        i, j, k = numpy.rint(places).astype(int)
        inside = (i >= 0) & (i < array.shape[2]) & (j >= 0) & (j < array.shape[1]) & (k >= 0) & (k < array.shape[0])
        plane = result[z].ravel()
        plane[inside] = numpy.maximum(plane[inside], table[array[k[inside], j[inside], i[inside]]])
        yield
