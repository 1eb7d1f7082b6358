"""The section Report: an editor over the whole report, whose sentences know their masks."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.ChangesView import ChangesView
from UVLMReportLib.ChecksList import ChecksList, pointsOf
from UVLMReportLib.EditorEvents import EditorEvents
from UVLMReportLib.FindBar import FindBar
from UVLMReportLib.InsertMenu import InsertMenu
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.ReportMarks import ReportMarks, marksAt
from UVLMReportLib.ReportText import ReportText
from UVLMReportLib.Signing import Signing
from UVLMShared import Settings
from UVLMShared.SingleShot import singleShot

SMALLEST, LARGEST = 7, 28  # points
SAVE_MS, CURSOR_MS, MARKS_MS = 600, 120, 150  # pauses after the last keystroke or move of the cursor


class ReportEditor:
    """Everything in the section Report but the heat map.

    `sentenceEntered`: Listeners (study, sentence id or None), when the user puts the cursor into another sentence.
    `refused`: Listeners (text): a change that the report did not take, and why.
    """

    def __init__(self, ui, unmeasured=lambda study: []):
        """`unmeasured`: says what of a study's masks is not measured yet, a list of sentences."""
        self.ui = ui
        self.study = None
        self.sentenceEntered, self.refused = Listeners(), Listeners()
        self.text = ReportText(ui.reportEdit, self._onTyped, lambda error: self.refused(str(error)))
        self.marks = ReportMarks(self.text)
        self.findBar = FindBar(ui, self.text, self.marks)
        self.checks = ChecksList(ui, self.change, self.goTo)
        self.changesView = ChangesView(ui)
        self.signing = Signing(ui, self.change, lambda: unmeasured(self.study))
        self.menu = qt.QMenu(ui.insertButton)
        ui.insertButton.setMenu(self.menu)
        self.insertMenu = InsertMenu(self.menu, self.change, self.place, self.goTo)
        self.contextMenu = qt.QMenu(ui.reportEdit)
        self.events = EditorEvents(ui.reportEdit, self)
        self._saveTimer = singleShot(SAVE_MS, self.flush)
        self._cursorTimer = singleShot(CURSOR_MS, self._onCursorRested)
        self._marksTimer = singleShot(MARKS_MS, self._showMarks)
        self._quiet, self._saving, self._unsaved = False, False, False
        ui.reportEdit.connect("cursorPositionChanged()", self._onCursorMoved)
        ui.undoButton.connect("clicked()", self.undo)
        ui.redoButton.connect("clicked()", self.redo)
        ui.smallerButton.connect("clicked()", lambda: self.setFontSize(self.fontSize() - 1))
        ui.largerButton.connect("clicked()", lambda: self.setFontSize(self.fontSize() + 1))
        self._showFontSize(Settings.value("fontSize", 0) or self.fontSize())
        self.setStudy(None)

    @property
    def report(self):
        """The EditableReport that is shown, or None."""
        return self.study.report if self.study is not None and self.study.exists else None

    # ---- showing

    def setStudy(self, study):
        """Shows the report of another study, or none; what was typed before is saved first."""
        if study is not self.study:
            self.flush()
            self.marks.active, self.marks.linked = None, []
        self.study = study
        self._quiet = True
        self.text.setReport(self.report)
        self._quiet = False
        self.refresh()

    def refresh(self):
        """Shows the report as it is now; cursor, selection and scroll position stay."""
        report = self.report
        self._quiet = True
        if report is not self.text.report:
            self.text.setReport(report)
        else:
            self.text.refresh()
        self._quiet = False
        editable = report is not None and bool(report.editable_sections)
        self.ui.reportEdit.setReadOnly(not editable)
        for button in (self.ui.insertButton, self.ui.findButton, self.ui.changesButton):
            button.setEnabled(report is not None)
        self.ui.insertButton.setEnabled(editable)
        self.ui.undoButton.setEnabled(editable and report.can_undo)
        self.ui.redoButton.setEnabled(editable and report.can_redo)
        self.insertMenu.report = report
        self.signing.show(report)
        self.checks.show(report, editable)
        self.changesView.show(report)
        self.findBar.search()  # shows the marks too

    def light(self, sentenceIds):
        """Lights up sentences, of a mask that was clicked, and scrolls to the first one."""
        self.marks.linked = list(sentenceIds)
        self.marks.show()
        if self.marks.linked:
            self.goTo(self.marks.linked[0], tell=False)

    def goTo(self, sentenceId, tell=True):
        """Puts the cursor at the end of a sentence and scrolls to it; `tell` moves the slices too."""
        spans = {piece.sentence: piece.end for piece in self.text.layout.pieces if piece.kind == "sentence"}
        if sentenceId not in spans:
            return
        self._quiet = True
        self.text.putCursor(spans[sentenceId])
        self._quiet = False
        if tell:
            self._enter(sentenceId)
        else:
            self.marks.active = sentenceId
            self.marks.show()

    def sentenceAtCursor(self):
        """Id of the sentence that the cursor is in, or None."""
        return self.text.layout.sentence_at(self.text.position()) if self.text.layout is not None else None

    def place(self):
        """(sentence id or None, offset in it, section name or None) of the cursor."""
        if self.text.layout is None:
            return None, 0, None
        offset = self.text.position()
        name = self.text.layout.sentence_at(offset)
        inside = offset - self.text.layout.span_of(name)[0] if name is not None else 0
        return name, inside, self.text.layout.section_at(offset)

    # ---- changing

    def change(self, function):
        """Runs a function of the report and saves it.

        Returns:
            what the function returns; None where the report refused the change, whose reason is told.
        """
        from uvlm_core.report.editing import EditError

        report = self.report
        if report is None:
            return None
        self._saveTimer.stop()
        try:
            result = function(report)
        except EditError as error:
            self.refused(str(error))
            result = None
        self._save()
        return result

    def undo(self):
        """Takes the last change back."""
        self.change(lambda report: report.undo())

    def redo(self):
        """Does the last change again that was taken back."""
        self.change(lambda report: report.redo())

    def flush(self):
        """Tells everybody of what was typed and not told yet; at once, before anything that needs it."""
        self._saveTimer.stop()
        if self._unsaved and self.report is not None:
            self._save()
        self._unsaved = False

    def _save(self):
        """Into the scene; whoever shows the study is told."""
        self._saving, self._unsaved = True, False
        self.study.saveReport()
        self._saving = False
        self.refresh()

    def onStudyChanged(self):
        """The study was changed by somebody else."""
        if not self._saving:
            self.refresh()

    def _onTyped(self):
        self.study.keepReport()
        self._unsaved = True
        self._saveTimer.start()
        self._marksTimer.start()

    # ---- cursor

    def _onCursorMoved(self):
        if not self._quiet:
            self._cursorTimer.start()

    def _onCursorRested(self):
        """The sentence at the cursor becomes the active one; typing in it is no new visit."""
        name = self.sentenceAtCursor() if self.report is not None else None
        if name != self.marks.active:
            self._enter(name)

    def _enter(self, name):
        self.marks.active, self.marks.linked = name, []
        self.marks.show()
        self.checks.selectSentence(name)
        self.sentenceEntered(self.study, name)

    def _showMarks(self):
        self.marks.show()

    # ---- font

    def fontSize(self):
        """In points, also where the font is set in pixels."""
        return qt.QFontInfo(self.ui.reportEdit.document.defaultFont).pointSize()

    def setFontSize(self, points):
        """Changes the size of the text and remembers it."""
        points = max(SMALLEST, min(LARGEST, points))
        self._showFontSize(points)
        Settings.setValue("fontSize", points)

    def _showFontSize(self, points):
        for document in (self.ui.reportEdit.document, self.ui.changesView.document):
            font = qt.QFont(document.defaultFont)
            font.setPointSize(points)
            document.setDefaultFont(font)

    # ---- menu and tool tips

    def toolTipAt(self, point):
        """What is wrong at a point of the viewport; "" for nothing."""
        if self.report is None:
            return ""
        fields, flags = marksAt(self.report, self.text.layout, self.text.offsetAt(point))
        lines = [_("{old} → {new}: the mask has changed. Right click to take the new value.").format(
            old=field.old, new=field.new) for field in fields]
        return "\n".join(lines + [flag.message for flag in flags])

    def showContextMenu(self, point):
        """The menu at a point of the viewport: what can be done about the marks there, then copy and paste."""
        self.fillContextMenu(point)
        self.contextMenu.popup(self.ui.reportEdit.viewport().mapToGlobal(point))

    def fillContextMenu(self, point):
        """Makes the entries of the menu anew."""
        menu, edit = self.contextMenu, self.ui.reportEdit
        menu.clear()
        if self.report is not None and not edit.readOnly:
            fields, flags = marksAt(self.report, self.text.layout, self.text.offsetAt(point))
            sentence = self.text.layout.sentence_at(self.text.offsetAt(point))
            wanted = {("value", field.index) for field in fields}
            wanted |= {("flag", index) for index, flag in enumerate(self._flagsOf(sentence)) if flag in flags}
            for one in pointsOf(self.report):
                if one.sentence == sentence and (one.kind, one.index) in wanted:
                    self._addPoint(menu, one)
        copying = edit.textCursor().hasSelection()
        for title, slot, enabled in ((_("Cut"), edit.cut, copying and not edit.readOnly),
                                     (_("Copy"), edit.copy, copying), (_("Paste"), edit.paste, not edit.readOnly),
                                     (_("Select all"), edit.selectAll, True)):
            action = menu.addAction(title)
            action.setEnabled(enabled)
            action.connect("triggered()", slot)

    def _flagsOf(self, sentence):
        return self.report.sentence(sentence).flags if sentence is not None else []

    def _addPoint(self, menu, point):
        if point.fix:
            action = menu.addAction(f"{point.text}: {point.fix}")
            action.connect("triggered()", lambda: self.checks.accept(point))
        action = menu.addAction(_("Dismiss: {text}").format(text=point.text))
        action.connect("triggered()", lambda: self.checks.dismiss(point))
        menu.addSeparator()

    def cleanup(self):
        """Saves what was typed and lets go of the editor."""
        if slicer.mrmlScene is not None:
            self.flush()
        for timer in (self._saveTimer, self._cursorTimer, self._marksTimer, self.checks.fitTimer):
            timer.stop()
        self.events.remove()
        self.findBar.key.remove()
