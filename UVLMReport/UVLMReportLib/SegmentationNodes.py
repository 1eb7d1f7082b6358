"""Masks as segments: made fast from one map, with colours, codes and tags; and questions about them.

All segments of a study share one label map (a layer), as Slicer itself does it for masks that do not overlap: forty
segments of a 512 x 512 x 300 scan then cost one copy of 79 MB, not forty thresholds over it.
"""

import numpy
import slicer
import vtk
from vtk.util import numpy_support

LABELMAP = "Binary labelmap"
TERMINOLOGY_CONTEXT = "Segmentation category and type - DICOM master list"
ANATOMY_CONTEXT = "Anatomic codes - DICOM master list"
TAG_FINDING, TAG_PROBABILITY, TAG_LABEL = "UVLM.finding", "UVLM.probability", "UVLM.label"
CHUNK_BYTES = 1 << 22
ORGAN_OPACITY, LESION_OPACITY = 0.25, 0.6


def terminologyEntry(codes):
    """The segment tag TerminologyEntry from codes as in labels.json: category, type, modifier of three texts each."""
    def triple(key):
        scheme, value, meaning = codes.get(key) or ("", "", "")
        return f"{scheme}^{value}^{meaning}"

    return "~".join([TERMINOLOGY_CONTEXT, triple("category"), triple("type"), triple("modifier"), ANATOMY_CONTEXT,
                     "^^", "^^"])


def readingMap(path):
    """Reads a .npy map (Z, Y, X) of uint8 or int16 into a VTK array; for InSteps, returns (array, shape)."""
    with open(path, "rb") as file:
        numpy.lib.format.read_magic(file)
        shape, _fortran, dtype = numpy.lib.format.read_array_header_1_0(file)
        scalars = vtk.vtkUnsignedCharArray() if dtype == numpy.uint8 else vtk.vtkShortArray()
        scalars.SetNumberOfTuples(int(numpy.prod(shape)))
        memory = memoryview(numpy_support.vtk_to_numpy(scalars)).cast("B")
        for first in range(0, len(memory), CHUNK_BYTES):
            file.readinto(memory[first:first + CHUNK_BYTES])
            yield
    return scalars, shape


def orientedImage(scalars, shape, ijkToRas):
    """A vtkOrientedImageData over a VTK array, with a 4x4 from (i, j, k, 1) to RAS mm."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent(0, shape[2] - 1, 0, shape[1] - 1, 0, shape[0] - 1)
    image.GetPointData().SetScalars(scalars)
    image.SetImageToWorldMatrix(vtkMatrix(ijkToRas))
    return image


def newSegment(row, value, image, findings):
    """A vtkSegment for one row of `segments` of study.json, in the layer `image` under `value`."""
    segment = slicer.vtkSegment()
    segment.SetName(row["title"][:1].upper() + row["title"][1:])
    segment.SetColor(*[channel / 255 for channel in row["color"]])
    segment.SetTag(segment.GetTerminologyEntryTagName(), terminologyEntry(row["codes"]))
    setTags(segment, row, findings)
    segment.SetLabelValue(value)
    segment.AddRepresentation(LABELMAP, image)
    return segment


def setTags(segment, row, findings):
    """Writes which label and finding a segment shows, and how probable it is, as tags that are saved with it.

    Args:
        findings: rows of study.json that name their segments.
    """
    segment.SetTag(TAG_LABEL, row["name"])
    shown = [finding for finding in findings if row["id"] in finding["segments"]]
    segment.SetTag(TAG_FINDING, ", ".join(finding["name"] for finding in shown))
    known = [finding["probability"] for finding in shown if finding["probability"] is not None]
    segment.SetTag(TAG_PROBABILITY, f"{max(known):.3f}" if known else "")


def tagOf(segment, name):
    """The text of a segment's tag; "" without one."""
    text = vtk.reference("")
    return str(text) if segment.GetTag(name, text) else ""


def showKinds(segmentationNode, rows):
    """First look: organs faint, lesions clear."""
    display = segmentationNode.GetDisplayNode()
    with slicer.util.NodeModify(display):  # the views answer each change of it
        for row in rows:
            opacity = ORGAN_OPACITY if row["kind"] == "organ" else LESION_OPACITY
            display.SetSegmentOpacity2DFill(row["id"], opacity)
            display.SetSegmentOpacity3D(row["id"], opacity if row["kind"] == "organ" else 1.0)


# ---- questions

def segmentIds(segmentation):
    """Ids of all segments in their order."""
    return [segmentation.GetNthSegmentID(number) for number in range(segmentation.GetNumberOfSegments())]


def layersOf(segmentation):
    """[(image, {label value: segment id})]: the label maps of a segmentation and what is in them."""
    layers = {}
    for name in segmentIds(segmentation):
        segment = segmentation.GetSegment(name)
        image = segment.GetRepresentation(LABELMAP)
        if image is not None and image.GetPointData().GetScalars() is not None:
            layers.setdefault(image.__this__, (image, {}))[1][segment.GetLabelValue()] = name
    return list(layers.values())


def imageArray(image):
    """(Z, Y, X) view of a label map's voxels, from the low corner of its extent; (0, 0, 0) for an empty one."""
    scalars = image.GetPointData().GetScalars()
    shape = image.GetDimensions()[::-1]
    if scalars is None or min(shape) == 0:
        return numpy.zeros((0, 0, 0), numpy.uint8)
    return numpy_support.vtk_to_numpy(scalars).reshape(shape)


def imageMatrix(image, corner=(0, 0, 0)):
    """4x4 from array indices to RAS mm of the segmentation; `corner` (k, j, i) is where a cut-out begins."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    toRas = numpyMatrix(matrix)
    extent = image.GetExtent()
    first = [extent[0] + corner[2], extent[2] + corner[1], extent[4] + corner[0], 1]
    toRas[:3, 3] = (toRas @ first)[:3]
    return toRas


def cuttingOut(segmentation, segmentId, slices=None):
    """The mask of one segment without the empty space around it; a generator for InSteps.

    Args:
        slices: (first, last) k of the slices it is in, see MaskShapes; None looks at all.

    Returns:
        (mask bool (Z, Y, X), 4x4 from its indices to RAS mm of the segmentation), or None for an empty mask.
    """
    segment = segmentation.GetSegment(segmentId)
    image = segment.GetRepresentation(LABELMAP) if segment is not None else None
    array = imageArray(image) if image is not None else numpy.zeros((0, 0, 0))
    below = image.GetExtent()[4] if image is not None else 0
    first, last = (max(0, slices[0] - below), slices[1] - below) if slices else (0, len(array) - 1)
    planes, value = array[first:max(first, last + 1)], segment.GetLabelValue() if segment is not None else 0
    seen, filled = numpy.zeros(array.shape[1:], bool), []
    for number, plane in enumerate(planes):
        own = plane == value
        if own.any():
            seen |= own
            filled.append(number)
        yield
    if not filled:
        return None
    rows, columns = numpy.flatnonzero(seen.any(1)), numpy.flatnonzero(seen.any(0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    planes = planes[filled[0]:filled[-1] + 1]
    mask = numpy.empty((len(planes), box[0].stop - box[0].start, box[1].stop - box[1].start), bool)
    for own, plane in zip(mask, planes, strict=True):
        numpy.equal(plane[box], value, out=own)
        yield
    return mask, imageMatrix(image, (first + filled[0], box[0].start, box[1].start))


def cutOut(segmentation, segmentId, slices=None):
    """What `cuttingOut` returns, at once: for small masks and few slices."""
    steps = cuttingOut(segmentation, segmentId, slices)
    while True:
        try:
            next(steps)
        except StopIteration as finished:
            return finished.value


def centreRas(segmentationNode, segmentId, shapes=None):
    """[R, A, S] in the world of a point inside the mask, in its largest slice; None for an empty mask.

    Args:
        shapes: MaskShapes of this segmentation, which make it quick.
    """
    k = shapes.largestSlice(segmentId) if shapes is not None else None
    found = cutOut(segmentationNode.GetSegmentation(), segmentId, None if k is None else (k, k))
    if found is None:
        return None
    mask, toRas = found
    plane = int(mask.sum((1, 2)).argmax())
    inside = numpy.argwhere(mask[plane])
    j, i = inside[numpy.abs(inside - inside.mean(0)).sum(1).argmin()]  # the mean itself may lie in a hole
    return toWorld(segmentationNode, (toRas @ [i, j, plane, 1])[:3])


def segmentsAt(segmentationNode, ras):
    """Ids of the segments at a world point."""
    segmentation = segmentationNode.GetSegmentation()
    local = fromWorld(segmentationNode, ras)
    found = []
    for image, values in layersOf(segmentation):
        array = imageArray(image)
        if not array.size:
            continue
        i, j, k = numpy.rint(numpy.linalg.inv(imageMatrix(image)) @ [*local, 1])[:3].astype(int)
        if all(0 <= index < size for index, size in zip((k, j, i), array.shape, strict=True)):
            name = values.get(int(array[k, j, i]))
            found += [name] if name else []
    return found


def toWorld(node, point):
    """A point of a node under transforms, in the world; lists of three mm."""
    result = [0.0, 0.0, 0.0]
    node.TransformPointToWorld(list(map(float, point)), result)
    return result


def fromWorld(node, point):
    """A world point in the node's own coordinates; lists of three mm."""
    result = [0.0, 0.0, 0.0]
    node.TransformPointFromWorld(list(map(float, point)), result)
    return result


def betweenNodes(source, target):
    """4x4 from the coordinates of one node to those of another, through their transforms where these are linear."""
    matrix = vtk.vtkMatrix4x4()
    parents = source.GetParentTransformNode(), target.GetParentTransformNode()
    if all(parent is None or parent.IsTransformToWorldLinear() for parent in parents):
        slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(*parents, matrix)
    return numpyMatrix(matrix)


def vtkMatrix(rows):
    """A vtkMatrix4x4 from four rows."""
    matrix = vtk.vtkMatrix4x4()
    for row in range(4):
        for column in range(4):
            matrix.SetElement(row, column, float(rows[row][column]))
    return matrix


def numpyMatrix(matrix):
    """4x4 float64 from a vtkMatrix4x4."""
    return numpy.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
