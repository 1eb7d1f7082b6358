"""The section Export: files for others, and cases for training."""

import os
import re

import qt
import slicer
from slicer.i18n import tr as _

from UVLMShared import Settings

WARNING = "color: #b3261e;"


class ExportPanel:
    """Asks where to, has the logic write, and says where it is.

    Args:
        flush: called before anything is written, so that the last typed words are in it.
    """

    def __init__(self, ui, logic, flush):
        self.ui, self.logic, self.flush = ui, logic, flush
        self.study = None
        ui.exportHtmlButton.connect("clicked()", lambda: self._exportFile("html", _("Web page"), logic.exportHtml))
        ui.exportPdfButton.connect("clicked()", lambda: self._exportFile("pdf", _("PDF"), logic.exportPdf))
        ui.exportTextButton.connect("clicked()", lambda: self._exportFile("txt", _("Text"), logic.exportText))
        ui.exportStudyButton.connect("clicked()", self._exportStudy)
        ui.keepButton.connect("clicked()", self.keep)
        ui.trainingFolderButton.connect("clicked()", self.chooseTrainingFolder)
        ui.trainingFolderLabel.setStyleSheet("color: gray;")
        self._showFolder()
        self.setStudy(None)

    def setStudy(self, study):
        """Exports another study, or none."""
        if study is not self.study:
            self._say("")
        self.study = study
        for button in (self.ui.exportHtmlButton, self.ui.exportPdfButton, self.ui.exportTextButton,
                       self.ui.exportStudyButton, self.ui.keepButton):
            button.setEnabled(study is not None)

    def exportFile(self, path, write):
        """Writes the report with `write(study, path)` and says where it is."""
        self.flush()
        with slicer.util.tryWithErrorDisplay(_("The report could not be written."), waitCursor=True):
            self._say(_("Written: {path}").format(path=write(self.study, path) or path))
            Settings.setValue("exportFolder", os.path.dirname(path))

    def exportStudy(self, folder):
        """Writes the study as a folder."""
        self.flush()
        self._busy(self.ui.exportStudyButton, True)
        self._say(_("Writing the study…"))
        self.logic.exportStudy(self.study, folder, lambda path: self._done(self.ui.exportStudyButton, path),
                               lambda error: self._failed(self.ui.exportStudyButton, error))
        Settings.setValue("exportFolder", os.path.dirname(folder))

    def keep(self):
        """Keeps the study as a training case, in the folder that was chosen once."""
        folder = Settings.value("trainingFolder", "")
        if not folder or not os.path.isdir(folder):
            folder = self.chooseTrainingFolder()
        if not folder:
            return
        self.flush()
        self._busy(self.ui.keepButton, True)
        self._say(_("Keeping the case…"))
        self.logic.keepTrainingCase(self.study, folder, lambda path: self._done(self.ui.keepButton, path),
                                    lambda error: self._failed(self.ui.keepButton, error))

    def chooseTrainingFolder(self):
        """Asks for the folder of training cases and remembers it; "" if none was chosen."""
        folder = qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of training cases"),
                                                     Settings.value("trainingFolder", ""))
        if folder:
            Settings.setValue("trainingFolder", folder)
            self._showFolder()
        return folder

    def _exportFile(self, ending, kind, write):
        start = os.path.join(Settings.value("exportFolder", ""), f"{self._fileName()}.{ending}")
        path = qt.QFileDialog.getSaveFileName(slicer.util.mainWindow(), _("Export the report"), start,
                                              f"{kind} (*.{ending})")
        if path:
            self.exportFile(path if path.lower().endswith("." + ending) else f"{path}.{ending}", write)

    def _exportStudy(self):
        parent = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Where to put the study folder"), Settings.value("exportFolder", ""))
        if parent:
            self.exportStudy(_freePath(os.path.join(parent, self._fileName())))

    def _fileName(self):
        return re.sub(r"[^\w.-]+", "_", self.study.name).strip("_") or "report"

    def _done(self, button, path):
        self._busy(button, False)
        self._say(_("Written: {path}").format(path=path))

    def _failed(self, button, error):
        self._busy(button, False)
        self._say(str(error), failed=True)

    def _busy(self, button, busy):
        button.setEnabled(not busy and self.study is not None)

    def _say(self, text, failed=False):
        self.ui.exportRemark.setText(text)
        self.ui.exportRemark.setStyleSheet(WARNING if failed else "")
        self.ui.exportRemark.setVisible(bool(text))

    def _showFolder(self):
        folder = Settings.value("trainingFolder", "")
        self.ui.trainingFolderLabel.setText(
            _("Training cases: {folder}").format(folder=folder) if folder else
            _("Training cases: the folder is asked for once. Nothing leaves this computer."))


def _freePath(path):
    """The path, or the first of path-2, path-3, … that does not exist: nothing is ever overwritten."""
    number, free = 1, path
    while os.path.exists(free):
        number += 1
        free = f"{path}-{number}"
    return free
