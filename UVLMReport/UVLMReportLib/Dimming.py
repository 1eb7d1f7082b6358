"""Fades the masks that nobody speaks of, and gives each mask its own opacities back.

What a mask had before stands in an attribute of the display node while it is faded: so a scene that was saved meanwhile
gets it back too.
"""

import json
import math

import slicer

from UVLMReportLib.SegmentationNodes import segmentIds

BEFORE = "UVLM.opacities"  # attribute: JSON, segment id -> [its own opacities, those that it was given]
SHARE = 0.15  # of its own opacity that is left of a faded mask


def dim(segmentationNode, keep):
    """Fades all masks but those in `keep`; where none of these is there, all get their own opacities back."""
    display = segmentationNode.GetDisplayNode()
    names = segmentIds(segmentationNode.GetSegmentation())
    if display is None or not any(name in keep for name in names):
        undim(segmentationNode)
        return
    before, faded = _before(display), {}
    with slicer.util.NodeModify(display):
        for name in names:
            own = _own(display, name, before)
            shown = own if name in keep else [SHARE * value for value in own]
            _show(display, name, *shown)
            faded[name] = [own, shown]
        display.SetAttribute(BEFORE, json.dumps(faded))


def undim(segmentationNode):
    """All masks at their own opacities; nothing where none was faded."""
    display = segmentationNode.GetDisplayNode()
    before = _before(display) if display is not None else {}
    if not before:
        return
    with slicer.util.NodeModify(display):
        for name in segmentIds(segmentationNode.GetSegmentation()):
            _show(display, name, *_own(display, name, before))
        display.RemoveAttribute(BEFORE)


def _before(display):
    return json.loads(display.GetAttribute(BEFORE) or "{}")


def _own(display, name, before):
    """The opacities that a mask has when it is not faded; those that it was given meanwhile are its own."""
    now = [display.GetSegmentOpacity2DFill(name), display.GetSegmentOpacity2DOutline(name),
           display.GetSegmentOpacity3D(name)]
    own, shown = before.get(name, (now, now))
    untouched = all(math.isclose(*pair, abs_tol=1e-3) for pair in zip(now, shown, strict=True))
    return own if untouched else now


def _show(display, name, fill, outline, surface):
    display.SetSegmentOpacity2DFill(name, fill)
    display.SetSegmentOpacity2DOutline(name, outline)
    display.SetSegmentOpacity3D(name, surface)
