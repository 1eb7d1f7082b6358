"""Masks as segments: made fast from one label map, with colours, codes and tags; and questions about them.

    TAGS: "UVLM.finding", "UVLM.probability", "UVLM.label" (the label's name), all strings.
    terminologyEntry(codes) -> str for the tag TerminologyEntry
    making(segmentationNode, volumeNode, segmentMap, segments, findings) -> generator for InSteps
    centreRas(segmentationNode, segmentId) -> [R, A, S] in the world (parent transform applied), a point inside the mask
    segmentsAt(segmentationNode, ras) -> ids of the segments at a world point, the smallest first
    dim(segmentationNode, segmentIds, opacity=0.15) / undim(segmentationNode): others faint; visibility untouched
"""
