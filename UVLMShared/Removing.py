"""Taking nodes out of the scene without keeping the program waiting."""

import slicer


def removeNode(node):
    """Removes a node with its display and storage nodes, which the scene would keep; a segmentation's masks are let go
    of first.

    Slicer's subject hierarchy removes the segments of a removed segmentation one after the other, and each erases its
    voxels in the label map that they share: 1.5 s for 35 masks of 512 x 512 x 300 voxels, 0.03 s without voxels.
    """
    helpers = []
    if node.IsA("vtkMRMLDisplayableNode"):
        helpers += [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    if node.IsA("vtkMRMLStorableNode"):
        helpers += [node.GetNthStorageNode(number) for number in range(node.GetNumberOfStorageNodes())]
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = node.GetSegmentation()
        with slicer.util.NodeModify(node):
            for number in range(segmentation.GetNumberOfSegments()):
                segmentation.GetNthSegment(number).RemoveAllRepresentations()
    slicer.mrmlScene.RemoveNode(node)
    for helper in helpers:
        if helper is not None and slicer.mrmlScene.IsNodePresent(helper):
            slicer.mrmlScene.RemoveNode(helper)
