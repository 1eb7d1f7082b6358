"""The section Findings: a table that is sorted, filtered, overruled, and leads to the masks."""

import re

import qt
from slicer.i18n import tr as _

from UVLMReportLib.FindingsRows import STATE_ORDER, filterText, findingRows, stateToolTip
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.ProbabilityBar import ProbabilityBar
from UVLMReportLib.TableRoles import FILTER_ROLE, NAME_ROLE, PROBABILITY_ROLE, SORT_ROLE, THRESHOLD_ROLE
from UVLMReportLib.Wording import sideTitle, stateTitle

FINDING, SIDE, PROBABILITY, STATE, SIZE, FLAGS = range(6)
DISPLAY, TOOL_TIP, FONT, FOREGROUND = (int(role) for role in (
    qt.Qt.DisplayRole, qt.Qt.ToolTipRole, qt.Qt.FontRole, qt.Qt.ForegroundRole))
OVERRULED = (36, 98, 196)


class FindingsTable:
    """Fills the section Findings and hears the user.

    Args:
        change: runs a function of the report and saves it.

    `chosen`: Listeners (finding, [segment ids]) after a click or a move of the selection by the keyboard.
    `editAsked`: Listeners (finding, [segment ids]) after a double click beside the state.
    """

    def __init__(self, ui, change):
        self.ui, self.change = ui, change
        self.chosen, self.editAsked = Listeners(), Listeners()
        self.study, self._rows, self._filling = None, {}, False
        self.model = qt.QStandardItemModel(0, 6)
        self.model.setHorizontalHeaderLabels([_("Finding"), _("Side"), _("Probability"), _("State"), _("Size"), "⚑"])
        self.proxy = qt.QSortFilterProxyModel()
        self.proxy.setSourceModel(self.model)
        self.proxy.setSortRole(SORT_ROLE)
        self.proxy.setFilterRole(FILTER_ROLE)
        self.proxy.setFilterKeyColumn(FINDING)
        self.bar = ProbabilityBar()
        self._prepareView(ui.findingsTable)
        self.stateMenu = qt.QMenu(ui.findingsTable)
        ui.findingsFilter.connect("textChanged(QString)", self.applyFilter)
        ui.onlyPresentCheckBox.connect("toggled(bool)", self.applyFilter)
        ui.findingsHint.setStyleSheet("color: gray;")

    def _prepareView(self, view):
        view.setModel(self.proxy)
        view.setItemDelegateForColumn(PROBABILITY, self.bar)
        view.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        view.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        view.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setWordWrap(False)
        view.setShowGrid(False)
        view.setContextMenuPolicy(qt.Qt.CustomContextMenu)
        view.verticalHeader().setVisible(False)
        view.verticalHeader().setDefaultSectionSize(22)
        header = view.horizontalHeader()
        header.setMinimumSectionSize(20)
        for column, width in ((SIDE, 36), (PROBABILITY, 84), (STATE, 68), (SIZE, 60), (FLAGS, 20)):
            header.setSectionResizeMode(column, qt.QHeaderView.Interactive)
            view.setColumnWidth(column, width)
        header.setSectionResizeMode(FINDING, qt.QHeaderView.Stretch)
        header.setSortIndicator(-1, qt.Qt.AscendingOrder)  # the report's order until the user sorts
        view.setSortingEnabled(True)
        view.connect("clicked(QModelIndex)", self._onClicked)
        view.connect("doubleClicked(QModelIndex)", self._onDoubleClicked)
        view.connect("customContextMenuRequested(QPoint)", self._onMenu)
        view.selectionModel().connect("currentRowChanged(QModelIndex,QModelIndex)", self._onCurrent)

    # ---- showing

    def setStudy(self, study):
        """Shows the findings of a study, or none; the selection stays on its finding."""
        self.study = study
        rows = findingRows(study.report) if study is not None else []
        names = [row["name"] for row in rows]
        self._filling = True
        if names != list(self._rows):
            self.model.setRowCount(0)
            self.model.setRowCount(len(rows))  # the model makes its items itself, so that they are its own
        self._rows = {row["name"]: row for row in rows}
        for number, row in enumerate(rows):
            self._fill(number, row)
        self._filling = False
        self.applyFilter()

    def applyFilter(self, *ignored):
        """Shows the rows with all words of the filter, of those that are present where that is asked for."""
        words = [re.escape(word) for word in self.ui.findingsFilter.text.split()]
        mark = r"^\+" if self.ui.onlyPresentCheckBox.checked else "^"
        pattern = "(?i)" + mark + "".join(f"(?=.*{word})" for word in words)
        self.proxy.setFilterRegularExpression(qt.QRegularExpression(pattern))

    def visibleNames(self):
        """The findings in the order in which they stand in the table."""
        return [self.proxy.index(row, FINDING).data(NAME_ROLE) for row in range(self.proxy.rowCount())]

    def row(self, name):
        """The row of a finding, see findingRows."""
        return self._rows[name]

    def select(self, name):
        """Selects a finding without telling `chosen`."""
        for number in range(self.proxy.rowCount()):
            index = self.proxy.index(number, FINDING)
            if index.data(NAME_ROLE) == name:
                self._filling = True
                self.ui.findingsTable.setCurrentIndex(index)
                self._filling = False

    def _fill(self, number, row):
        order = STATE_ORDER.index(row["state"]) if row["state"] in STATE_ORDER else len(STATE_ORDER)
        probability = row["probability"]
        texts = [row["name"], sideTitle(row["side"]), "" if probability is None else f"{probability:.2f}",
                 stateTitle(row["state"]), row["size"], str(len(row["flags"])) if row["flags"] else ""]
        keys = [row["name"].lower(), texts[SIDE], -1.0 if probability is None else probability, order,
                row["sizeNumber"], len(row["flags"])]
        for column, (text, key) in enumerate(zip(texts, keys, strict=True)):
            font = qt.QFont()
            font.setBold(row["state"] == "present" and column in (FINDING, STATE))
            font.setItalic(column == STATE and row["overruled"])
            self._set(number, column, {DISPLAY: text, FONT: font, NAME_ROLE: row["name"], SORT_ROLE: key})
        self._set(number, FINDING, {FILTER_ROLE: filterText(row), TOOL_TIP: row["name"]})
        self._set(number, PROBABILITY, {PROBABILITY_ROLE: probability, THRESHOLD_ROLE: row["threshold"]})
        if probability is not None:
            hint = _("Probability {probability:.2f}; the line is the threshold {threshold:.2f}").format(**row)
            self._set(number, PROBABILITY, {TOOL_TIP: hint})
        colour = qt.QBrush(qt.QColor(*OVERRULED)) if row["overruled"] else None
        self._set(number, STATE, {DISPLAY: texts[STATE] + (" ✎" if row["overruled"] else ""),
                                  TOOL_TIP: stateToolTip(row), FOREGROUND: colour})
        self._set(number, SIZE, {TOOL_TIP: row["sizeHint"]})
        self._set(number, FLAGS, {TOOL_TIP: "\n".join(row["flags"])})

    def _set(self, number, column, values):
        """Puts {role: value} into a cell."""
        index = self.model.index(number, column)
        for role, value in values.items():
            self.model.setData(index, value, role)

    # ---- the user

    def overrule(self, name, state):
        """Sets the state of a finding: present, absent, uncertain, or None for what the model says."""
        self.change(lambda report: report.override_finding(name, state))

    def showStateMenu(self, name, position):
        """The menu that overrules a finding, at a point of the table."""
        self.stateMenu.clear()
        row = self.row(name)
        self._addStates(self.stateMenu, name, row)
        self.stateMenu.popup(self.ui.findingsTable.viewport().mapToGlobal(position))

    def _addStates(self, menu, name, row):
        for state in ("present", "absent", "uncertain"):
            action = menu.addAction(stateTitle(state))
            action.setCheckable(True)
            action.setChecked(row["state"] == state)
            action.connect("triggered()", lambda state=state: self.overrule(name, state))
        menu.addSeparator()
        action = menu.addAction(_("What the model says ({state})").format(state=stateTitle(row["modelState"])))
        action.setEnabled(row["overruled"])
        action.connect("triggered()", lambda: self.overrule(name, None))

    def _editable(self):
        return self.study is not None and self.study.report.state != "signed"

    def _onCurrent(self, current, previous):
        if not self._filling and current.isValid():
            self._tell(self.chosen, current)

    def _onClicked(self, index):
        self._tell(self.chosen, index)

    def _onDoubleClicked(self, index):
        name = index.data(NAME_ROLE)
        if index.column() == STATE and self._editable():
            view = self.ui.findingsTable
            self.showStateMenu(name, view.visualRect(index).bottomLeft())
        elif index.column() != STATE:
            self._tell(self.editAsked, index)

    def _onMenu(self, position):
        index = self.ui.findingsTable.indexAt(position)
        if index.isValid() and self._editable():
            self.showStateMenu(index.data(NAME_ROLE), position)

    def _tell(self, listeners, index):
        name = index.data(NAME_ROLE)
        if name in self._rows:
            listeners(name, self._rows[name]["segments"])
