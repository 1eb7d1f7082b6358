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
CHECKING = 2  # number of the command after import and split
COLOURS = {"error": "#b3261e", "warning": "#9a6700"}


class DataPanel:
    """Fills the section Data.

    Args:
        changed: called when there is another case table, or none.
    """

    def __init__(self, ui, changed):
        self.ui, self.changed = ui, changed
        self.rows, self._command, self._steps = [], None, None
        self._before, self._rowsBefore = None, 0  # while an import runs: the CasesBefore, and their number
        self.table = RowsTable(ui.casesTable, [_("Case"), _("Split"), _("State"), _("Problems")], (70, 66, 130))
        ui.casesTable.setIconSize(qt.QSize(THUMBNAIL, THUMBNAIL))
        ui.dataFolderButton.connect("clicked()", self._askDataFolder)
        ui.keptCasesButton.connect("clicked()", self.useKeptCases)
        ui.workFolderButton.connect("clicked()", self._askWorkFolder)
        ui.dataFolderEdit.connect("editingFinished()", lambda: self.guess())
        ui.workFolderEdit.connect("editingFinished()", self._workFolderChosen)
        ui.mappingButton.connect("clicked()", self._askMapping)
        ui.storeButton.connect("clicked()", self._askStore)
        ui.checkCasesButton.connect("clicked()", self.importAndCheck)
        ui.cancelCheckButton.connect("clicked()", self.cancel)
        ui.casesTable.connect("clicked(QModelIndex)", self._onClicked)
        ui.casesTable.selectionModel().connect("currentRowChanged(QModelIndex,QModelIndex)", self._onCurrent)
        self._counter = qt.QTimer()
        self._counter.setInterval(1000)
        self._counter.connect("timeout()", self._count)
        self._guessed, self._trouble = "", ""  # the folder that the importers are of; why there is no training table
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
        if self._before is not None and self._before.folder == self.workFolder:
            return _("The cases are being imported and checked; train on them when that is done.")
        if self._steps is not None and self._steps.running and skip:
            return _("The cases are being read; try it again in a moment.")
        if self._trouble and (skip or not self.rows):
            return self._trouble
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
        if self._command is not None:
            self._command.cancel()
            if self._before is not None:
                self._before.putBack()
            self._ended()
        if self._steps is not None:
            self._steps.stop()

    # ---- folder and importer

    def setFolders(self, data, work):
        """Takes both folders, as if they were chosen."""
        self.ui.dataFolderEdit.text, self.ui.workFolderEdit.text = data, work
        self.guess()
        self._workFolderChosen()

    def _workFolderChosen(self):
        if self.ui.workFolderEdit.text.strip():
            Settings.setValue("trainWorkFolder", self.workFolder)
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
            self._workFolderChosen()

    def _askMapping(self):
        chosen = askFile(_("Mapping file"), "trainMappingFolder", _("Mapping files (*.json)"))
        if chosen:
            self.ui.mappingEdit.text = chosen

    def _askStore(self):
        chosen = askFolder(_("Store of prepared cases"), "trainStore", self.ui.storeEdit.text)
        if chosen:
            self.ui.storeEdit.text = chosen

    def guess(self):
        """Asks the core which importer fits the folder, in the place of what it was asked before; an import is not
        disturbed and asks at its end.
        """
        folder = self.ui.dataFolderEdit.text.strip()
        if not folder or folder == self._guessed or self._before is not None:
            return
        if self._command is not None:
            self._command.cancel()
        self._guessed = folder
        Settings.setValue("trainDataFolder", folder)
        self.ui.importerSelector.clear()
        self._remark(_("Looking into the folder…"))
        self._command = CoreCommand([["dataset", "guess", folder]], lambda outputs: self._onGuessed(folder, outputs[0]),
                                    lambda text: self._onGuessed(folder, "", text))
        self._update()

    def _onGuessed(self, folder, output, trouble=""):
        self._ended()
        if folder != self.ui.dataFolderEdit.text.strip():  # another one was typed meanwhile
            self._guessed = ""
            self._remark("")
            self.guess()
            return
        selector = self.ui.importerSelector
        for line in output.splitlines():
            kind, _space, reason = line.partition(" ")
            selector.addItem(kind, reason.strip())
        selector.setCurrentIndex(0 if selector.count else -1)
        if trouble:
            self._guessed = ""
            self._remark(trouble, "error")
        else:
            self._remark(selector.itemData(0) if selector.count else "")

    def _remark(self, text, severity=""):
        self.ui.importerRemark.text = text
        self.ui.importerRemark.setStyleSheet(f"color: {COLOURS[severity]};" if severity else "")

    # ---- import and check

    def importAndCheck(self):
        """Writes the case table, splits it, checks every case; the data set itself stays as it is."""
        folder, work = self.ui.dataFolderEdit.text.strip(), self.workFolder
        if self._command is not None or not folder:
            return
        kind = self.ui.importerSelector.currentText if folder == self._guessed else ""
        Settings.setValue("trainWorkFolder", work)
        table, checked = os.path.join(work, "cases.csv"), os.path.join(work, "checked")
        try:
            os.makedirs(work, exist_ok=True)
            self._before = CaseRows.CasesBefore(work)
        except OSError as error:
            said = _("The work folder '{folder}' cannot be written: {reason}. Choose another one.").format(
                folder=work, reason=error.strerror)
            self._say(said, "error")
            self.readTable(said, "error")
            return
        names = ["--mapping", self.mapping] if self.mapping else []
        self._command = CoreCommand(
            [["dataset", "import", kind or "auto", folder, "-o", table, "--on-error", "skip", *names],
             ["dataset", "split", table, *SPLIT], ["dataset", "check", table, "-o", checked, *names]],
            lambda outputs: self._importEnded(), lambda text: self._importEnded(text, "error"), self._importGoesOn)
        self._update()

    def _importGoesOn(self, number):
        self._say([_("Importing…"), _("Splitting…"), _("Checking every case…")][number])
        if number == CHECKING:
            self._rowsBefore = self._checkedRows()
            self._counter.start()

    def _importEnded(self, said="", severity=""):
        if self._before.putBack():
            said += " " + _("The cases below are those that were imported before.")
        self._ended()
        self.readTable(said.strip(), severity)
        self.guess()  # the folder may have been changed meanwhile

    def cancel(self):
        """Stops what is being looked at; what was checked is kept."""
        if self._command is None:
            return
        self._command.cancel()
        if self._before is not None:
            self._importEnded(_("Stopped. What was checked so far is not read again."))
        else:
            self._ended()
            self._guessed = ""
            self._remark(_("Stopped."))

    def _ended(self):
        self._command = self._before = None
        self._counter.stop()
        self._update()

    def _checkedRows(self):
        """How many cases have a row that the check left, now or before."""
        try:
            return len(os.listdir(os.path.join(self._before.folder, "checked", "rows")))
        except OSError:
            return 0

    def _count(self):
        """How many cases are checked: those of the data set before are not counted."""
        done = self._checkedRows() - self._rowsBefore if self._counter.active else 0
        if done > 0:
            self._say(_("Checking: {count} cases so far…").format(count=done))

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
        self._trouble = ""
        self._fill([])  # of another folder, perhaps

        def show(found):
            rows, self._trouble = found
            self._fill(rows)
            if said or not self._trouble:
                self._say(said or countsText(rows), severity if said else CaseRows.gravest(rows))
            else:
                self._say(f"{countsText(rows)} {self._trouble}", "error")
            self.changed()

        def failed(error):
            self._trouble = _("The case table cannot be read: {error}").format(error=error)
            self._fill([])
            self._say(f"{said} {self._trouble}".strip(), "error")
            self.changed()

        if not self.tablePath:
            self._say(said or _("No cases yet."), severity)
            self.changed()
            return
        self._steps = InSteps(CaseRows.reading(self.tablePath, os.path.join(self.workFolder, "checked")), show, failed)

    def _fill(self, rows):
        self.rows = rows
        self.table.show(rows, caseTexts, lambda row: "\n".join(problem["message"] for problem in row.problems),
                        lambda row: row.picture)
        for number, row in enumerate(rows[:MOST_THUMBNAILS]):
            if row.picture:
                self.ui.casesTable.setRowHeight(number, THUMBNAIL + 4)
        self.showText(None)

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


def countsText(rows):
    """How many cases there are, and how many with errors and warnings."""
    severities = [row.severity for row in rows]
    return _("{cases} cases; {bad} with errors, {doubtful} with warnings.").format(
        cases=sum(bool(row.name) for row in rows), bad=severities.count("error"), doubtful=severities.count("warning"))
