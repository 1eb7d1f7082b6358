"""Step Data: a folder, its importer and names, the cases and what is wrong with them; a click shows a case."""

import csv
import os

import qt
import slicer
from slicer.i18n import tr as _

from UVLMShared import Settings
from UVLMShared.InSteps import InSteps
from UVLMTrainLib import CaseRows, CaseScene
from UVLMTrainLib.CoreCommand import CoreCommand
from UVLMTrainLib.FileChoice import askFile, askFolder
from UVLMTrainLib.Recipes import RecipeTrouble
from UVLMTrainLib.RowsTable import RowsTable
from UVLMTrainLib.Wording import severityTitle

THUMBNAIL, PICTURE = 40, 150  # pixels
MOST_THUMBNAILS = 500  # rows that are high enough for one
KEPT_SETTING = "trainingFolder"  # of UVLMReport
SPLIT = ("--validation", "0.2", "--test", "0")  # a test split would lie idle: the panel judges on these
COLOURS = {"error": "#b3261e", "warning": "#9a6700"}


class DataPanel:
    """Fills the section Data.

    Args:
        changed: called when there is another case table, or none.
    """

    def __init__(self, ui, changed):
        self.ui, self.changed = ui, changed
        self.rows, self._command, self._steps = [], None, None
        self.table = RowsTable(ui.casesTable, [_("Case"), _("Split"), _("State"), _("Problems")], (70, 66, 130))
        ui.casesTable.setIconSize(qt.QSize(THUMBNAIL, THUMBNAIL))
        ui.dataFolderButton.connect("clicked()", self._askDataFolder)
        ui.keptCasesButton.connect("clicked()", self.useKeptCases)
        ui.workFolderButton.connect("clicked()", self._askWorkFolder)
        ui.dataFolderEdit.connect("editingFinished()", lambda: self.guess())
        ui.workFolderEdit.connect("editingFinished()", lambda: self.readTable())
        ui.mappingButton.connect("clicked()", self._askMapping)
        ui.storeButton.connect("clicked()", self._askStore)
        ui.checkCasesButton.connect("clicked()", self.importAndCheck)
        ui.cancelCheckButton.connect("clicked()", self.cancel)
        ui.casesTable.connect("clicked(QModelIndex)", self._onClicked)
        ui.casesTable.selectionModel().connect("currentRowChanged(QModelIndex,QModelIndex)", self._onCurrent)
        self._counter = qt.QTimer()
        self._counter.setInterval(1000)
        self._counter.connect("timeout()", self._count)
        self._guessed = None
        home = os.path.join(os.path.expanduser("~"), "UVLM training")
        ui.workFolderEdit.text = Settings.value("trainWorkFolder") or home
        ui.dataFolderEdit.text = Settings.value("trainDataFolder")
        self._update()

    @property
    def tablePath(self):
        """Of the case table in the work folder, "" where there is none."""
        path = os.path.join(self.workFolder, "cases.csv")
        return path if os.path.isfile(path) else ""

    @property
    def trainingTable(self):
        """The case table that is trained on: without the cases with errors, where the user wants that; "" for none."""
        if not self.ui.skipCheckBox.checked:
            return self.tablePath
        usable = os.path.join(self.workFolder, CaseRows.USABLE)
        return usable if self.tablePath and os.path.isfile(usable) else ""

    def copiedTable(self, folder):
        """Copies the table that is trained on into a folder, for a run that goes on when the next one is imported.

        Returns:
            path of the copy, "" where there is no case table at all.

        Raises:
            RecipeTrouble: the cases cannot be trained on now.
        """
        trouble = self._whyNone()
        if trouble:
            raise RecipeTrouble(trouble)
        if not self.tablePath:
            return ""
        try:
            return CaseRows.copied(self.trainingTable, folder)
        except (OSError, ValueError, csv.Error) as error:
            raise RecipeTrouble(_("The case table cannot be copied to '{folder}': {error}.").format(
                folder=folder, error=getattr(error, "strerror", None) or error)) from error

    def _whyNone(self):
        """Why nothing can be trained on the cases now; "" where it can, or where there is no case table."""
        skip = self.ui.skipCheckBox.checked
        if self._command is not None and self._counter.active:
            return _("The cases are being imported and checked; train on them when that is done.")
        if self._steps is not None and self._steps.running and skip:
            return _("The cases are being read; try it again in a moment.")
        if self.tablePath and not self.trainingTable:
            return _("No case without errors is left to train on. Put the cases right, or untick '{skip}'.").format(
                skip=self.ui.skipCheckBox.text)
        return ""

    @property
    def mapping(self):
        """Absolute path of the mapping file, "" for none."""
        return _absolute(self.ui.mappingEdit.text)

    @property
    def store(self):
        """Absolute path of the store of prepared cases, "" for none."""
        return _absolute(self.ui.storeEdit.text)

    @property
    def workFolder(self):
        return os.path.abspath(os.path.expanduser(self.ui.workFolderEdit.text.strip() or "."))

    def cleanup(self):
        self.cancel()
        self._counter.stop()
        if self._steps is not None:
            self._steps.stop()

    # ---- folder and importer

    def setFolders(self, data, work):
        """Takes both folders, as if they were chosen."""
        self.ui.dataFolderEdit.text, self.ui.workFolderEdit.text = data, work
        self.guess()
        self.readTable()

    def _askDataFolder(self):
        chosen = askFolder(_("Folder of the data set"), "trainDataFolder", self.ui.dataFolderEdit.text)
        if chosen:
            self.ui.dataFolderEdit.text = chosen
            self.guess()

    def useKeptCases(self):
        """Takes the folder of UVLMReport's kept cases."""
        folder = Settings.value(KEPT_SETTING)
        if not folder:
            self.ui.importerRemark.text = _("UVLM Report has not kept a case yet.")
            return
        self.ui.dataFolderEdit.text = folder
        self.guess()

    def _askWorkFolder(self):
        chosen = askFolder(_("Folder for the case table and the runs"), "trainWorkFolder", self.ui.workFolderEdit.text)
        if chosen:
            self.ui.workFolderEdit.text = chosen
            self.readTable()

    def _askMapping(self):
        chosen = askFile(_("Mapping file"), "trainMappingFolder", _("Mapping files (*.json)"))
        if chosen:
            self.ui.mappingEdit.text = chosen

    def _askStore(self):
        chosen = askFolder(_("Store of prepared cases"), "trainStore", self.ui.storeEdit.text)
        if chosen:
            self.ui.storeEdit.text = chosen

    def guess(self):
        """Asks the core which importer fits the folder."""
        folder = self.ui.dataFolderEdit.text.strip()
        if not folder or folder == self._guessed or self._command is not None:
            return
        self._guessed = folder
        Settings.setValue("trainDataFolder", folder)
        self.ui.importerSelector.clear()
        self.ui.importerRemark.text = _("Looking into the folder…")
        self._run([["dataset", "guess", folder]], lambda outputs: self._onGuessed(outputs[0]), self.ui.importerRemark)

    def _onGuessed(self, output):
        selector = self.ui.importerSelector
        for line in output.splitlines():
            kind, _space, reason = line.partition(" ")
            selector.addItem(kind, reason.strip())
        selector.setCurrentIndex(0 if selector.count else -1)
        self.ui.importerRemark.text = selector.itemData(0) if selector.count else ""

    # ---- import and check

    def importAndCheck(self):
        """Writes the case table, splits it, checks every case; the data set itself stays as it is."""
        folder, kind = self.ui.dataFolderEdit.text.strip(), self.ui.importerSelector.currentText
        if self._command is not None or not folder:
            return
        Settings.setValue("trainWorkFolder", self.workFolder)
        table, checked = os.path.join(self.workFolder, "cases.csv"), os.path.join(self.workFolder, "checked")
        try:
            os.makedirs(self.workFolder, exist_ok=True)
        except OSError as error:
            self._say(_("The work folder cannot be made: {reason}.").format(reason=error.strerror), "error")
            return
        usable = os.path.join(self.workFolder, CaseRows.USABLE)
        if os.path.exists(usable):  # of the data set before; written anew when all is checked
            os.remove(usable)
        titles = [_("Importing…"), _("Splitting…"), _("Checking every case…")]
        names = ["--mapping", self.mapping] if self.mapping else []
        self._run([["dataset", "import", kind or "auto", folder, "-o", table, "--on-error", "skip", *names],
                   ["dataset", "split", table, *SPLIT], ["dataset", "check", table, "-o", checked, *names]],
                  lambda outputs: self.readTable(), self.ui.casesRemark,
                  lambda number: self._say(titles[number]))
        self._counter.start()

    def cancel(self):
        """Stops what is being looked at; what was checked is kept."""
        if self._command is not None:
            self._command.cancel()
            importing = self._counter.active
            self._ended()
            self._guessed = None
            text = _("Stopped. What was checked so far is not read again.")
            if importing:
                self.readTable(text)
            else:
                self._say(text)

    def _run(self, commands, done, remark, began=None):
        def ended(outputs):
            self._ended()
            done(outputs)

        def failed(text):
            importing = self._counter.active
            self._ended()
            self._guessed = None
            remark.text = text
            remark.setStyleSheet(f"color: {COLOURS['error']};")
            if importing:
                self.readTable(text, "error")

        remark.setStyleSheet("")
        self._command = CoreCommand(commands, ended, failed, began)
        self._update()

    def _ended(self):
        self._command = None
        self._counter.stop()
        self._update()

    def _count(self):
        """How many cases are checked, from the rows that the check leaves."""
        try:
            done = len(os.listdir(os.path.join(self.workFolder, "checked", "rows")))
        except OSError:
            return
        self.ui.casesRemark.text = _("Checking: {count} cases so far…").format(count=done)

    def _update(self):
        busy = self._command is not None
        self.ui.checkCasesButton.enabled = not busy
        self.ui.cancelCheckButton.enabled = busy

    def _say(self, text, severity=""):
        self.ui.casesRemark.text = text
        self.ui.casesRemark.setStyleSheet(f"color: {COLOURS[severity]};" if severity in COLOURS else "")

    # ---- cases

    def readTable(self, said="", severity=""):
        """Shows the case table of the work folder, if there is one.

        Args:
            said: what came in between, in the place of the counts; `severity` gives its colour.
        """
        if self._steps is not None:
            self._steps.stop()

        def show(rows):
            self._show(rows)
            if said:
                self._say(said, severity)

        if not self.tablePath:
            show([])
            if not said:
                self._say(_("No cases yet."))
            return
        self._steps = InSteps(CaseRows.reading(self.tablePath, os.path.join(self.workFolder, "checked")), show,
                              lambda error: self._say(_("The case table cannot be read: {error}").format(error=error),
                                                      "error"))

    def _show(self, rows):
        self.rows = rows
        self.table.show(rows, caseTexts, lambda row: "\n".join(problem["message"] for problem in row.problems),
                        lambda row: row.picture)
        for number, row in enumerate(rows[:MOST_THUMBNAILS]):
            if row.picture:
                self.ui.casesTable.setRowHeight(number, THUMBNAIL + 4)
        bad = sum(row.severity == "error" for row in rows)
        doubtful = sum(row.severity == "warning" for row in rows)
        self._say(_("{cases} cases; {bad} with errors, {doubtful} with warnings.").format(
            cases=sum(bool(row.name) for row in rows), bad=bad, doubtful=doubtful),
            "error" if bad else "warning" if doubtful else "")
        self.showText(None)
        self.changed()

    def _onCurrent(self, current, previous):
        self.showText(self.rows[current.row()] if 0 <= current.row() < len(self.rows) else None)

    def _onClicked(self, index):
        if 0 <= index.row() < len(self.rows):
            self.showCase(self.rows[index.row()])

    def showText(self, row):
        """Problems, text and picture of a case below the table; None for nothing."""
        lines = [] if row is None else [
            f"{severityTitle(problem['severity']).upper()}: {problem['message'].rstrip('.')}. "
            f"{problem.get('advice') or ''}".strip() for problem in row.problems]
        text = "" if row is None else row.text or _("(no report)")
        self.ui.caseText.plainText = "\n\n".join([*lines, text])
        picture = qt.QPixmap(row.picture) if row is not None and row.picture else None
        self.ui.casePicture.setVisible(picture is not None)
        if picture is not None:
            self.ui.casePicture.setPixmap(picture.scaled(PICTURE, PICTURE, qt.Qt.KeepAspectRatio,
                                                         qt.Qt.SmoothTransformation))

    def showCase(self, row):
        """Loads scan and masks of a case in place of the one before.

        Returns:
            (volume, segmentation or None); None on trouble, which is said.
        """
        self.showText(row)
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            return CaseScene.show(row)
        except CaseScene.CaseTrouble as trouble:
            self._say(str(trouble), "error")
            return None
        finally:
            slicer.app.restoreOverrideCursor()


def _absolute(path):
    return os.path.abspath(os.path.expanduser(path.strip())) if path.strip() else ""


def caseTexts(row):
    """Name, split, state and problems of a case for the table."""
    kinds = dict.fromkeys(problem["kind"] for problem in row.problems)
    return [row.name or _("(data set)"), row.split, severityTitle(row.severity), ", ".join(kinds)]
