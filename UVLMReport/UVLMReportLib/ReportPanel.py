"""Puts the parts of the panel together: what is chosen in one is shown in the others."""

import slicer

from UVLMReportLib.AttributionOverlay import AttributionOverlay
from UVLMReportLib.ExportPanel import ExportPanel
from UVLMReportLib.FindingsTable import FindingsTable
from UVLMReportLib.InputsPanel import InputsPanel
from UVLMReportLib.MasksPanel import MasksPanel
from UVLMReportLib.ReportEditor import ReportEditor
from UVLMReportLib.SliceLinks import SliceLinks
from UVLMShared.Bootstrap import makeCoreImportable
from UVLMShared.SingleShot import singleShot

ASK_WORKER_MS = 300  # after the module was opened, so that it opens at once
GONE_MS = 300  # after a report was removed: a run that replaces it puts the new one there meanwhile


class ReportPanel:
    """The whole panel over the widgets of UVLMReport.ui.

    Args:
        ui: the widgets by name. logic: ReportLogic.
    """

    def __init__(self, ui, logic):
        makeCoreImportable()
        self.ui, self.logic, self.study = ui, logic, None
        self.inputs = InputsPanel(ui, logic)
        self.editor = ReportEditor(ui, logic.unmeasured)
        self.findings = FindingsTable(ui, self.editor.change)
        self.masks = MasksPanel(ui, logic)
        self.attribution = AttributionOverlay(ui)
        self.export = ExportPanel(ui, logic, self.editor.flush)
        self.links = SliceLinks(logic)
        self.askTimer = singleShot(ASK_WORKER_MS, self.inputs.askWorker)
        self.goneTimer = singleShot(GONE_MS, self._onGone)
        self._asked = False
        self._connect()

    def _connect(self):
        self.inputs.volumeChosen.connect(self.showVolume)
        self.findings.chosen.connect(self._onFindingChosen)
        self.findings.editAsked.connect(lambda finding, segments: self.masks.edit(next(iter(segments), None)))
        self.editor.sentenceEntered.connect(self._onSentence)
        self.editor.refused.connect(self._onRefused)
        self.masks.chosen.connect(self._onMasksChosen)
        self.links.maskClicked.connect(self._onMaskClicked)
        self.logic.studyMade.connect(self._onStudyMade)
        self.logic.studyChanged.connect(self._onStudyChanged)
        self.logic.measuring.connect(self._onMeasuring)

    def enter(self):
        """The module was opened: the worker is asked once what this machine can do."""
        if not self._asked:
            self._asked = True
            self.askTimer.start()
        self.inputs.update()
        self.showVolume(self.inputs.volumeNode)

    def leave(self):
        """Another module was opened: nothing typed is lost, and all masks are bright."""
        self.editor.flush()
        self.links.release()

    def setParameterNode(self, parameterNode):
        """Follows another parameter node, or none (the scene is being closed)."""
        if parameterNode is None:
            self.showStudy(None)
        self.inputs.setParameterNode(parameterNode)
        if parameterNode is not None:
            self.showVolume(self.inputs.volumeNode)

    def showVolume(self, node):
        """Shows the latest study of a volume; where a volume was deleted, its study stays."""
        if node is None and self.study is not None and self.study.exists and self.study.volumeNode is None:
            self.showStudy(self.study)
        else:
            self.showStudy(self.logic.studyOf(node) if node is not None else None)

    def showStudy(self, study):
        """Shows a study (StudyScene) in all parts, or nothing; nothing for one that cannot be read, and says why."""
        damage = study.damage if study is not None and study.exists else ""
        if damage:
            self.inputs.say(damage, True)
            study = None
        same = study is self.study
        self.study = study
        if not same:
            self.editor.setStudy(study)
            self.masks.setStudy(study)
            self.attribution.setStudy(study)
            self.export.setStudy(study)
            self.links.setStudy(study)
        else:
            self.editor.onStudyChanged()
        self.findings.setStudy(study)

    def cleanup(self):
        """Lets go of views, timers and windows."""
        self.askTimer.stop()
        self.goneTimer.stop()
        self.inputs.cleanup()
        self.editor.cleanup()
        self.attribution.hide()
        self.links.stop()
        self.masks.cleanup()

    # ---- from one part to the others

    def _onStudyMade(self, study):
        """A run has ended: its report is shown, unless the user has gone on to another volume."""
        node = self.inputs.volumeNode
        if node is not None and self.logic.studyOf(node) is study:
            self.showStudy(study)

    def _onStudyChanged(self, study):
        if study is self.study and not study.exists:
            self.goneTimer.start()
        elif study is self.study:
            self.findings.setStudy(study)
            self.masks.onStudyChanged()
            self.editor.onStudyChanged()

    def _onMeasuring(self, study):
        if study is self.study:
            self.editor.signing.update()

    def _onGone(self):
        """The report that is shown was deleted: an earlier one of its volume is shown, or nothing."""
        if self.study is not None and not self.study.exists:
            self.showVolume(self.inputs.volumeNode)

    def _onFindingChosen(self, finding, segmentIds):
        self.links.showMasks(segmentIds)
        self.masks.select(segmentIds)
        report = self.editor.report
        if report is not None:
            self.editor.light([sentence.id for sentence in report.sentences if finding in sentence.findings])

    def _onSentence(self, study, sentenceId):
        report = self.editor.report
        sentence = report.sentence(sentenceId) if report is not None and sentenceId is not None else None
        self.links.showSentence(sentence)
        self.attribution.setSentence(sentenceId)
        if sentence is not None:
            self.masks.select(sentence.segments)
            if sentence.findings:
                self.findings.select(sentence.findings[0])

    def _onMasksChosen(self, segmentIds):
        self.links.showMasks(segmentIds)
        self._light(segmentIds)

    def _onMaskClicked(self, study, segmentIds):
        if study is self.study:
            if not segmentIds:
                self.links.release()
            self.masks.select(segmentIds)
            self._light(segmentIds)

    def _light(self, segmentIds):
        report = self.editor.report
        if report is not None:
            names = {name for segment in segmentIds for name in report.sentences_of(segment)}
            self.editor.light([sentence.id for sentence in report.sentences if sentence.id in names])

    def _onRefused(self, text):
        slicer.util.showStatusMessage(text, 5000)
        self.inputs.say(text)
