"""Ties text and pictures: a sentence leads to its masks, a click in a mask to its sentences."""

import slicer

from UVLMReportLib.Dimming import dim, undim
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.SegmentationNodes import segmentsAt
from UVLMReportLib.SliceViews import SliceClicks, jumpTo


class SliceLinks:
    """Moves the slice views for sentences, findings and masks, and hears clicks in masks.

    `maskClicked`: Listeners (study, [segment ids]), [] beside all masks.

    Args:
        logic: ReportLogic.
    """

    def __init__(self, logic):
        self.logic, self.study = logic, None
        self.maskClicked = Listeners()
        self.clicks = SliceClicks()
        self.clicks.clicked.connect(self._onClicked)

    def setStudy(self, study):
        """Follows another study, or none; the masks of the one before are bright again."""
        if study is self.study:
            return
        self.release()
        self.study = study
        self.release()  # the scene may have been saved while they were faded
        self.clicks.watch()  # the views may be others by now

    def showSentence(self, sentence):
        """Goes to the masks of a sentence and dims the others; without a mask, to where the decoder looked most."""
        if self._segmentation() is None:
            return
        shown = self.showMasks(sentence.segments) if sentence is not None else False
        if not shown:
            undim(self._segmentation())
        if sentence is not None and not shown and sentence.attribution_peak_ras_mm is not None:
            jumpTo(self._toWorld(sentence.attribution_peak_ras_mm))

    def showMasks(self, segmentIds):
        """Goes to the first of the masks that has voxels, and dims all that are not among them.

        Returns:
            whether there was one.
        """
        node = self._segmentation()
        if node is None:
            return False
        for name in segmentIds:
            centre = self.logic.centreRas(self.study, name)
            if centre is not None:
                dim(node, list(segmentIds))
                jumpTo(centre)
                return True
        return False

    def release(self):
        """All masks as bright as before."""
        node = self._segmentation()
        if node is not None:
            undim(node)

    def stop(self):
        """Lets go of the views."""
        self.release()
        self.clicks.stop()
        self.maskClicked.clear()

    def _segmentation(self):
        if self.study is None or slicer.mrmlScene is None or not self.study.exists:
            return None
        return self.study.segmentationNode

    def _toWorld(self, ras):
        from UVLMReportLib.SegmentationNodes import toWorld

        return toWorld(self._segmentation(), ras)

    def _onClicked(self, ras):
        node = self._segmentation()
        if node is None or node.GetDisplayNode() is None or _editing(node):
            return
        display = node.GetDisplayNode()
        shown = [name for name in segmentsAt(node, ras)
                 if display.GetVisibility() and display.GetSegmentVisibility(name)]
        self.maskClicked(self.study, shown)


def _editing(segmentationNode):
    """True while the Segment Editor is open: there, a click paints."""
    return slicer.util.selectedModule() == "SegmentEditor"
