"""A volume node as the worker needs it: is it a CT, its values as .npy, its matrix."""

import os

import numpy
import slicer
import vtk
from slicer.i18n import tr as _
from vtk.util import numpy_support

from UVLMShared.Bootstrap import makeCoreImportable

CHUNK_BYTES = 1 << 22
OUTSIDE = -1024  # HU of air: where there is no scan
_checked = {}  # node id -> (modification times, reason, remarks)


class VolumeRefusal(Exception):
    """The volume cannot be used; str() says why and what to do. `canHarden`: `hardenedCopy` would help.

    `kind` is "volume", as in the worker's errors.
    """

    kind, stage, whatToDo, details = "volume", "check", "", ""

    def __init__(self, message, canHarden=False):
        super().__init__(message)
        self.canHarden = canHarden


def refusalOf(volumeNode):
    """Why this node cannot be read as a CT, "" for one that can. Looks at a sample of the voxels once per change."""
    return _check(volumeNode)[0]


def remarksOf(volumeNode):
    """Sentences about a volume that can be read: what is unusual, its frame of a sequence, its transform."""
    remarks = list(_check(volumeNode)[1])
    frame = frameOf(volumeNode)
    if frame is not None:
        remarks.append(_("Frame {number} of {count} of the sequence '{name}' is used: the one that is shown.").format(
            number=frame[0] + 1, count=frame[1], name=frame[2]))
    transform = volumeNode.GetParentTransformNode()
    if transform is not None and transform.IsTransformToWorldLinear():
        remarks.append(_("The volume is under the transform '{name}'; the results are put under it too.").format(
            name=transform.GetName()))
    return remarks


def needsHardening(volumeNode):
    """True under a transform that is not linear."""
    transform = volumeNode.GetParentTransformNode()
    return transform is not None and not transform.IsTransformToWorldLinear()


def _check(node):
    """(reason, remarks), kept until the node, its voxels or its transform change."""
    if node is None:
        return _("Choose a CT volume first."), []
    image = node.GetImageData()
    times = (node.GetMTime(), image.GetMTime() if image is not None else 0)
    known = _checked.get(node.GetID())
    if known is None or known[0] != times:
        reason = _kindOfNode(node)
        reason, remarks = (reason, []) if reason else _values(node)
        known = _checked[node.GetID()] = (times, reason, remarks)
    return known[1], known[2]


def _kindOfNode(node):
    """Why a node of this kind is none for us; "" for a scalar volume with voxels."""
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return _("'{name}' is a label map, not a scan. Choose the CT that it belongs to.").format(name=node.GetName())
    if not node.IsA("vtkMRMLScalarVolumeNode") or node.GetImageData() is None:
        return _("'{name}' has no voxels. Choose a CT volume.").format(name=node.GetName())
    components = node.GetImageData().GetNumberOfScalarComponents()
    if components != 1:
        return _("'{name}' has {count} values per voxel: a colour picture, a vector field, or several frames at once. "
                 "A CT has one. Choose the original CT series.").format(name=node.GetName(), count=components)
    return ""


def _values(node):
    makeCoreImportable()
    from uvlm_core.errors import VolumeError
    from uvlm_core.volumes.ct_check import check_ct
    from uvlm_core.volumes.volume import Volume

    try:
        check = check_ct(Volume(arrayOf(node), ijkToRas(node), node.GetName(), metaOf(node)))
    except VolumeError as error:
        return str(error), []
    return check.message, check.warnings


class Voxels:
    """The voxels of a volume node and where they lie, as they are now: a sequence may show another frame, or the node
    may vanish, while they are read in steps. `array` (Z, Y, X), `toRas` as of `ijkToRas`, `name`, `meta`."""

    def __init__(self, node):
        self._scalars = node.GetImageData().GetPointData().GetScalars()  # keeps the memory
        self.array, self.toRas = arrayOf(node), ijkToRas(node)
        self.name, self.meta = node.GetName(), metaOf(node)


def arrayOf(node):
    """Voxels (Z, Y, X) of a scalar volume, a view of Slicer's own memory: read only."""
    image = node.GetImageData()
    array = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    return array.reshape(image.GetDimensions()[::-1])


def ijkToRas(node):
    """4x4 float64 from (i, j, k, 1) to RAS mm of the volume itself, without its parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return numpy.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])


def metaOf(node):
    """What is known about the scan, as the worker's `meta`: {"modality": ...} where DICOM said it."""
    modality = node.GetAttribute("DICOM.Modality")
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode() if node.GetScene() is not None else None
    if not modality and hierarchy is not None:
        item = hierarchy.GetItemByDataNode(node)
        modality = hierarchy.GetItemAttribute(item, "DICOM.Modality") if item else ""
    return {"modality": modality} if modality else {}


def frameOf(node):
    """(index from 0, number of frames, name of the sequence) of a volume that shows a sequence; None for others."""
    scene = node.GetScene()
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") if scene is not None else 0):
        browser = scene.GetNthNodeByClass(number, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetSequenceNode(node)
        if sequence is not None:
            return browser.GetSelectedItemNumber(), sequence.GetNumberOfDataNodes(), sequence.GetName()
    return None


def hardenedCopy(node):
    """A copy of the volume, resampled by its transforms; the new node."""
    copy = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, node, f"{node.GetName()} " + _("hardened"))
    copy.SetAndObserveTransformNodeID(node.GetTransformNodeID())
    copy.HardenTransform()
    return copy


def readingValues(voxels, toRas, shape):
    """The scan's values at the voxels of another grid: a plain cut-out where the grids agree, else the nearest voxels.

    A generator for InSteps; returns the array.

    Args:
        voxels: Voxels.
        toRas: 4x4 from the other grid's indices (i, j, k) to the volume's own RAS mm.
        shape: (Z, Y, X) of the other grid. Outside the scan the values are -1024.
    """
    array = voxels.array
    toVoxel = numpy.linalg.inv(voxels.toRas) @ toRas
    result = numpy.empty(shape, array.dtype if array.dtype.kind in "if" else numpy.int32)
    if numpy.allclose(toVoxel[:3, :3], numpy.eye(3), atol=1e-4):
        first = numpy.rint(toVoxel[:3, 3]).astype(int)[::-1]
        low, high = numpy.maximum(first, 0), numpy.minimum(first + shape, array.shape)
        source = tuple(slice(a, max(a, b)) for a, b in zip(low[1:], high[1:], strict=True))
        target = tuple(slice(a - f, max(a, b) - f) for a, b, f in zip(low[1:], high[1:], first[1:], strict=True))
        for number, plane in enumerate(result):
            plane[:] = OUTSIDE
            if low[0] <= number + first[0] < high[0]:
                plane[target] = array[number + first[0]][source]
            yield
        return result
    y, x = numpy.mgrid[:shape[1], :shape[2]]
    for z, plane in enumerate(result):
        places = toVoxel[:3, :3] @ numpy.stack([x.ravel(), y.ravel(), numpy.full(x.size, z)]) + toVoxel[:3, 3:]
        i, j, k = numpy.rint(places).astype(int)
        inside = ((i >= 0) & (i < array.shape[2]) & (j >= 0) & (j < array.shape[1]) & (k >= 0) & (k < array.shape[0]))
        plane[:] = OUTSIDE
        plane.ravel()[inside] = array[k[inside], j[inside], i[inside]]
        yield
    return result


def writing(voxels, path):
    """Writes Voxels as .npy, a few milliseconds at a time.

    A generator for InSteps; returns the worker's `volume`: array (path), ijk_to_ras, name, meta.
    """
    yield from writingArray(voxels.array, path)
    return {"array": path, "ijk_to_ras": voxels.toRas.tolist(), "name": voxels.name, "meta": voxels.meta}


def writingArray(array, path):
    """Writes a C-ordered array as .npy in pieces; a generator for InSteps. A write that is stopped leaves no file."""
    finished = False
    try:
        with open(path, "wb") as file:
            numpy.lib.format.write_array_header_1_0(file, numpy.lib.format.header_data_from_array_1_0(array))
            flat = memoryview(numpy.ascontiguousarray(array)).cast("B")
            for first in range(0, len(flat), CHUNK_BYTES):
                file.write(flat[first:first + CHUNK_BYTES])
                yield
        finished = True
    finally:
        if not finished and os.path.exists(path):
            os.remove(path)
