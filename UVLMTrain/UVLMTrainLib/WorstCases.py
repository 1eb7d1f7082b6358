"""The held-out cases that the model did worst on: pictures in a list, a large one, and a click that loads them."""

import qt
import slicer
from slicer.i18n import tr as _

from UVLMTrainLib import CaseScene
from UVLMTrainLib.RowsTable import RowsTable

THUMBNAIL = qt.QSize(110, 72)  # pixels
NARROWEST, WIDEST = 200, 600  # of the large picture, in pixels; it is as wide as the panel


class WorstCases:
    """Fills the list of worst cases of the section Result.

    Args:
        say: called with what the user should know.
    """

    def __init__(self, ui, say):
        self.ui, self._say, self.cases = ui, say, []
        self.table = RowsTable(ui.worstTable, [_("Worst cases"), _("Before"), _("After")], (50, 50))
        ui.worstTable.setIconSize(THUMBNAIL)
        ui.worstTable.connect("clicked(QModelIndex)", self._onClicked)
        ui.worstTable.selectionModel().connect("currentRowChanged(QModelIndex,QModelIndex)", self._onCurrent)
        self.show([])

    def show(self, cases):
        """Shows WorstCases of ResultRows, the worst first; hidden without any."""
        self.cases = cases
        self.table.show(cases, scoreTexts, lambda case: case.about, lambda case: case.file("picture.png"))
        for number in range(len(cases)):
            self.ui.worstTable.setRowHeight(number, THUMBNAIL.height() + 4)
        self.ui.worstTable.setVisible(bool(cases))
        self.showPicture(None)

    def showPicture(self, case):
        """The large picture of a case, true masks above the predicted ones, and what went wrong; None for nothing."""
        path = case.file("picture.png") if case is not None else ""
        self.ui.worstPicture.setVisible(bool(path))
        self.ui.worstRemark.setVisible(case is not None)
        self.ui.worstRemark.text = "" if case is None else case.about
        if path:
            width = max(NARROWEST, min(self.ui.worstTable.width, WIDEST))
            self.ui.worstPicture.setPixmap(qt.QPixmap(path).scaledToWidth(width, qt.Qt.SmoothTransformation))

    def load(self, case):
        """Loads scan, true and predicted masks in place of the case shown before.

        Returns:
            (volume, [segmentations]); None on trouble, which is said.
        """
        slicer.app.setOverrideCursor(qt.Qt.WaitCursor)
        try:
            return CaseScene.showPrediction(case)
        except CaseScene.CaseTrouble as trouble:
            self._say(str(trouble))
            return None
        finally:
            slicer.app.restoreOverrideCursor()

    def _onCurrent(self, current, previous):
        self.showPicture(self.cases[current.row()] if 0 <= current.row() < len(self.cases) else None)

    def _onClicked(self, index):
        if 0 <= index.row() < len(self.cases):
            self.load(self.cases[index.row()])


def scoreTexts(case):
    """Name and scores of a case for the list."""
    return [case.name, *(f"{case.score[model]:.2f}" if model in case.score else "" for model in ("before", "after"))]
