"""Where the decoder looked while it wrote a sentence, as a heat map over the slices."""

import slicer
from slicer.i18n import tr as _

from UVLMReportLib.AttributionMap import brightest, insideBody, ofStage
from UVLMReportLib.SegmentationNodes import vtkMatrix
from UVLMShared.Removing import removeNode

OPACITY = 0.6
COLOURS = "vtkMRMLColorTableNodeFileInferno.txt"


class AttributionOverlay:
    """The row "Heat map of" below the report, and the volume that it puts into the foreground of the slice views.

    The volume is never saved and goes when the box is unchecked; what was in the foreground comes back.
    """

    def __init__(self, ui):
        self.ui = ui
        self.study, self.sentence = None, None
        self._volumeId, self._before = None, {}
        ui.attributionCheckBox.connect("toggled(bool)", self._onToggled)
        ui.attributionStage.connect("currentIndexChanged(int)", lambda index: self.update())

    def setStudy(self, study):
        """Shows the maps of another study, or none."""
        if study is not self.study:
            self.hide()
        self.study = study
        self._fillStages()
        self.setSentence(None)

    def setSentence(self, sentenceId):
        """Shows the map of another sentence, if the box is checked; a sentence of the user has none."""
        self.sentence = sentenceId
        self.update()

    def update(self):
        """Shows what is chosen."""
        values = self._values() if self.ui.attributionCheckBox.checked else None
        if values is None:
            self.hide()
        else:
            self._show(*values)

    def hide(self):
        """Takes the map away; the foreground of the slice views is as before."""
        for compositeId, (volumeId, opacity) in self._before.items():
            composite = slicer.mrmlScene.GetNodeByID(compositeId) if slicer.mrmlScene is not None else None
            if composite is not None and composite.GetForegroundVolumeID() == self._volumeId:
                composite.SetForegroundVolumeID(volumeId)
                composite.SetForegroundOpacity(opacity)
        self._before = {}
        node = self.node
        if node is not None:
            removeNode(node)
        self._volumeId = None

    @property
    def node(self):
        """The volume with the map, or None while nothing is shown."""
        if self._volumeId is None or slicer.mrmlScene is None:
            return None
        return slicer.mrmlScene.GetNodeByID(self._volumeId)

    def _onToggled(self, wanted):
        self._fillStages()
        self.update()

    def _fillStages(self):
        """The stages of this study's maps; their list is read only once somebody wants to see one."""
        selector, wanted = self.ui.attributionStage, self.ui.attributionCheckBox.checked
        maps = self.study.attribution() if wanted and self.study is not None and self.study.exists else None
        stages = maps["stages"] if maps is not None else []
        selector.setEnabled(wanted)
        if selector.count == len(stages) + 1 and [selector.itemData(row) for row in range(1, selector.count)] == stages:
            return
        selector.clear()
        selector.addItem(_("all stages"), -1)
        for row, stage in enumerate(stages):
            kind = _(" (deepest: the whole)") if row == 0 else _(" (finest: detail)") if row == len(stages) - 1 else ""
            selector.addItem(_("stage {number}").format(number=stage) + kind, stage)

    def _values(self):
        """(map (Z, Y, X) float32 in percent of its brightest place, percent from which it is shown, 4x4 to RAS), or
        None."""
        if self.study is None or not self.study.exists or self.sentence is None:
            return None
        maps = self.study.attribution()
        if maps is None or self.sentence not in maps["sentence_ids"]:
            return None
        own = maps["maps"][maps["sentence_ids"].index(self.sentence)]
        stage = self.ui.attributionStage.itemData(self.ui.attributionStage.currentIndex)
        values = ofStage(own, maps["stages"], None if stage in (None, -1) else stage)
        found = brightest(values, insideBody(self.study.volumeNode, values.shape, maps["ijk_to_ras"]))
        return (*found, maps["ijk_to_ras"]) if found is not None else None

    def _show(self, values, faintest, ijkToRas):
        node = self.node
        if node is None:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", _("UVLM heat map"))
            node.SetHideFromEditors(True)
            node.SetSaveWithScene(False)
            node.CreateDefaultDisplayNodes()
            node.GetDisplayNode().SetSaveWithScene(False)
            self._volumeId = node.GetID()
        node.SetIJKToRASMatrix(vtkMatrix(ijkToRas))
        volume = self.study.volumeNode
        node.SetAndObserveTransformNodeID(volume.GetTransformNodeID() if volume is not None else None)
        slicer.util.updateVolumeFromArray(node, values)
        display = node.GetDisplayNode()
        known = slicer.mrmlScene.GetNodeByID(COLOURS) is not None
        display.SetAndObserveColorNodeID(COLOURS if known else "vtkMRMLColorTableNodeRed")
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(2 * faintest - 100, 100)  # the faintest has the middle colour
        display.SetThreshold(faintest, 100)
        display.SetApplyThreshold(True)
        display.SetInterpolate(True)
        for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            if composite.GetForegroundVolumeID() != self._volumeId:
                self._before[composite.GetID()] = (composite.GetForegroundVolumeID(), composite.GetForegroundOpacity())
                composite.SetForegroundVolumeID(self._volumeId)
                composite.SetForegroundOpacity(OPACITY)
