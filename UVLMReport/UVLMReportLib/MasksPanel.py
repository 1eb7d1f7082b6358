"""The section Masks: what is shown, how opaque, what is edited; new masks and what they show."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.FindingQuestion import FindingQuestion, capitalized, drawableOrgans, fillMaskMenu
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.SegmentationNodes import TAG_LABEL, segmentIds, tagOf
from UVLMReportLib.Surfaces import CLOSED_SURFACE, haveSurfaces, makingSurfaces
from UVLMShared.InSteps import InSteps


class MasksPanel:
    """Slicer's own table of segments, with what a reader does to them.

    `chosen`: Listeners ([segment ids]) when the user selects rows.
    """

    def __init__(self, ui, logic):
        self.ui, self.logic = ui, logic
        self.chosen = Listeners()
        self.study, self.question = None, None
        self._questions = []  # [(question, study, segment id)] that are open, with `question` as the last
        self._unanswered = []  # [(study, segment id)] whose question was closed with their study
        self._shown = None, None  # (study, id of its segmentation) that the table shows
        self._before, self._filling = {}, False
        self._surfaces = None  # InSteps, while surfaces are made
        self._known = []  # the last selection, because the table selects anew whenever it fills itself
        table = ui.segmentsTable
        table.setStatusColumnVisible(False)
        table.connect("selectionChanged(QItemSelection,QItemSelection)", self._onSelection)
        self.addMenu = qt.QMenu(ui.addMaskButton)
        fillMaskMenu(self.addMenu, self.addMask, self.addOrgan)
        ui.addMaskButton.setMenu(self.addMenu)
        ui.editMaskButton.connect("clicked()", lambda: self.edit(next(iter(self.selected()), None)))
        ui.isolateButton.connect("toggled(bool)", self.isolate)
        ui.showAllButton.connect("clicked()", self.showAll)
        ui.removeMaskButton.connect("clicked()", self.removeSelected)
        ui.opacitySlider.connect("valueChanged(double)", self._onOpacity)
        ui.show3DCheckBox.connect("toggled(bool)", self.show3D)
        logic.segmentAdded.connect(self._onSegmentAdded)
        self.setStudy(None)

    # ---- showing

    def setStudy(self, study):
        """Shows the masks of another study, or none."""
        shown = study, self._nodeIdOf(study)
        if shown != self._shown:
            self._leave()
        self.study, self._shown = study, shown
        node = self.segmentationNode
        self._filling = True
        if node is not None and not node.GetSegmentListFilterEnabled():
            node.SetSegmentListFilterEnabled(True)  # the table shows its filter bar as its node says
        self.ui.segmentsTable.setSegmentationNode(node)
        for widget in (self.ui.editMaskButton, self.ui.isolateButton, self.ui.showAllButton, self.ui.addMaskButton,
                       self.ui.removeMaskButton, self.ui.opacitySlider, self.ui.show3DCheckBox):
            widget.setEnabled(node is not None)
        if node is not None and node.GetDisplayNode() is not None:
            self.ui.opacitySlider.setValue(node.GetDisplayNode().GetOpacity())
            self.ui.show3DCheckBox.setChecked(node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
                                              and bool(node.GetDisplayNode().GetVisibility3D()))
        self._filling = False
        self._askAgain()

    def onStudyChanged(self):
        """Somebody changed the study; the node with its masks may be gone."""
        if self._nodeIdOf(self.study) != self._shown[1]:
            self.setStudy(self.study)

    def _leave(self):
        """Ends what goes on with the masks that were shown."""
        self._stopSurfaces()
        if self.ui.isolateButton.checked:
            self.ui.isolateButton.setChecked(False)
        self._closeQuestions()  # they are about masks of the study before

    @staticmethod
    def _nodeIdOf(study):
        node = study.segmentationNode if study is not None else None
        return node.GetID() if node is not None else None

    @property
    def segmentationNode(self):
        """The node with the study's masks, or None."""
        return self.study.segmentationNode if self.study is not None and self.study.exists else None

    def selected(self):
        """Ids of the chosen segments."""
        return list(self.ui.segmentsTable.selectedSegmentIDs())

    def select(self, names):
        """Chooses segments without telling `chosen`."""
        self._known = list(names)
        self._filling = True
        self.ui.segmentsTable.setSelectedSegmentIDs(self._known)
        self._filling = False

    # ---- the user

    def edit(self, segmentId):
        """Opens the Segment Editor on a mask and its scan."""
        node = self.segmentationNode
        if node is None:
            return
        if segmentId is None:
            self.remind(_("Choose a mask first."))
            return
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.util.getModuleWidget("SegmentEditor").editor
        editor.setSegmentationNode(node)
        if self.study.volumeNode is not None:
            editor.setSourceVolumeNode(self.study.volumeNode)
        editor.setCurrentSegmentID(segmentId)

    def isolate(self, wanted=True):
        """Shows only the chosen masks; without `wanted`, those that were shown before."""
        node = self.segmentationNode
        if node is None or node.GetDisplayNode() is None:
            return
        display, chosen = node.GetDisplayNode(), self.selected()
        if wanted and not chosen:
            self.ui.isolateButton.setChecked(False)
            self.remind(_("Choose a mask first."))
            return
        names = segmentIds(node.GetSegmentation())
        if wanted:
            self._before = {name: display.GetSegmentVisibility(name) for name in names}
        with slicer.util.NodeModify(display):
            for name in names:
                display.SetSegmentVisibility(name, name in chosen if wanted else self._before.get(name, True))

    def showAll(self):
        """Shows every mask."""
        node = self.segmentationNode
        if node is not None and node.GetDisplayNode() is not None:
            self._before = {}
            self.ui.isolateButton.setChecked(False)
            node.GetDisplayNode().SetAllSegmentsVisibility(True)

    def show3D(self, wanted=True):
        """Shows the surfaces of the masks in the 3-D view, those that are missing as they are made; or hides them."""
        node = self.segmentationNode
        if self._filling or node is None or node.GetDisplayNode() is None:
            return
        self._stopSurfaces()
        node.GetDisplayNode().SetVisibility3D(wanted)
        if wanted and not haveSurfaces(node.GetSegmentation()):
            self._surfaces = InSteps(makingSurfaces(node), lambda ignored: None, self._onSurfacesFailed)

    def _stopSurfaces(self):
        if self._surfaces is not None:
            self._surfaces.stop()

    def _onSurfacesFailed(self, error):
        slicer.util.errorDisplay(_("The surfaces could not be made.") + f"\n\n{error}")

    def addMask(self, finding):
        """Makes an empty mask for a finding and opens the Segment Editor on it. Returns its id."""
        from uvlm_core.labels import finding_named, label_named

        node = self.segmentationNode
        if node is None:
            return None
        segmentation, label = node.GetSegmentation(), label_named(finding_named(finding).label)
        numbers = [name.rpartition("_")[2] for name in segmentIds(segmentation) if name.startswith(label.name + "_")]
        number = max([int(text) for text in numbers if text.isdigit()], default=0) + 1
        name = self._addEmpty(f"{label.name}_{number}", f"{capitalized(label.title)} {number}", label)
        self.logic.assignSegment(self.study, name, finding)
        self.edit(name)
        return name

    def addOrgan(self, labelName):
        """Opens the Segment Editor on the mask of an organ, a new one where the model missed it. Returns its id."""
        from uvlm_core.labels import label_named

        if self.segmentationNode is None:
            return None
        name = self._organs(self.study).get(labelName)
        if name is None:
            label = label_named(labelName)
            name = self._addEmpty(label.name, capitalized(label.title), label)
            self.logic.assignOrgan(self.study, name, labelName)
        self.edit(name)
        return name

    def _addEmpty(self, wanted, title, label):
        color = [channel / 255 for channel in label.color]
        return self.segmentationNode.GetSegmentation().AddEmptySegment(wanted, title, color)

    @staticmethod
    def _organs(study):
        """{name of a label: id of the first mask that shows it}."""
        segmentation = study.segmentationNode.GetSegmentation()
        return {tagOf(segmentation.GetSegment(name), TAG_LABEL): name for name in reversed(segmentIds(segmentation))}

    def removeSelected(self):
        """Removes the chosen masks, after asking; their sentences are flagged."""
        names = self.selected()
        if self.segmentationNode is None or not names:
            self.remind(_("Choose a mask first."))
        elif slicer.util.confirmOkCancelDisplay(
                _("Remove {count} masks? The sentences that speak of them stay and are flagged.").format(
                    count=len(names)) if len(names) > 1 else
                _("Remove this mask? The sentences that speak of it stay and are flagged."), _("Remove")):
            for name in names:
                self.segmentationNode.GetSegmentation().RemoveSegment(name)

    def remind(self, text):
        """A short word in the status bar, for a click that could do nothing."""
        slicer.util.showStatusMessage(text, 3000)

    def cleanup(self):
        """Closes what is open and stops what goes on."""
        self._stopSurfaces()
        self._closeQuestions()
        self.chosen.clear()

    def _onSelection(self):
        """Without the signal's arguments, so that nobody need turn a QItemSelection into Python."""
        chosen = self.selected()
        if not self._filling and self.study is not None and chosen and set(chosen) != set(self._known):
            self._known = chosen
            self.chosen(chosen)

    def _onOpacity(self, value):
        node = self.segmentationNode
        if not self._filling and node is not None and node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetOpacity(value)

    def _onSegmentAdded(self, study, segmentId):
        """Asks what a mask shows that was drawn without the menu; where another study is shown, once this one is."""
        if study is not self.study:
            self._unanswered.append((study, segmentId))
            return
        title = study.segmentationNode.GetSegmentation().GetSegment(segmentId).GetName()
        there = self._organs(study)
        missing = [label for label in drawableOrgans() if label.name not in there]
        self.question = FindingQuestion(
            title, lambda finding, organ: self._assign(study, segmentId, finding, organ), missing)
        self._questions = [*(row for row in self._questions if row[0].window.visible),
                           (self.question, study, segmentId)]

    def _closeQuestions(self):
        for question, study, segmentId in self._questions:
            if question.window.visible:
                self._unanswered.append((study, segmentId))
            question.close()
        self._questions = []

    def _askAgain(self):
        """Asks about the masks of the study that is shown now what was not answered when it was shown before."""
        node = self.segmentationNode
        own = [row for row in self._unanswered if row[0] is self.study]
        self._unanswered = [row for row in self._unanswered if row[0] is not self.study and row[0].exists]
        for study, segmentId in own if node is not None else ():
            segment = node.GetSegmentation().GetSegment(segmentId)
            if segment is not None and not tagOf(segment, TAG_LABEL) and segmentId not in study.assigned:
                self._onSegmentAdded(study, segmentId)

    def _assign(self, study, segmentId, finding, organ):
        node = study.segmentationNode
        if node is None or node.GetSegmentation().GetSegment(segmentId) is None:
            return
        if organ is not None:
            self.logic.assignOrgan(study, segmentId, organ)
        else:
            self.logic.assignSegment(study, segmentId, finding)
