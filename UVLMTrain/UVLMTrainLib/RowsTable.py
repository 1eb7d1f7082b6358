"""A table of texts in a view of the panel. Rows answer when they are drawn, so that ten thousand cost nothing."""

import qt

DISPLAY, TOOL_TIP, DECORATION = (int(role) for role in (qt.Qt.DisplayRole, qt.Qt.ToolTipRole, qt.Qt.DecorationRole))


class RowsModel(qt.QAbstractTableModel):
    """Rows of any kind, and functions that say what a row shows; see RowsTable.show."""

    def __init__(self, titles):
        super().__init__()
        self.titles, self.rows = titles, []
        self._texts = self._toolTip = self._picture = None
        self._pictures = {}

    def show(self, rows, texts, toolTip, picture):
        self.beginResetModel()
        self.rows, self._texts, self._toolTip, self._picture, self._pictures = rows, texts, toolTip, picture, {}
        self.endResetModel()

    def rowCount(self, parent=None):
        return len(self.rows)

    def columnCount(self, parent=None):
        return len(self.titles)

    def headerData(self, section, orientation, role=DISPLAY):
        if int(role) == DISPLAY and orientation == qt.Qt.Horizontal:
            return self.titles[section]
        return None

    def data(self, index, role=DISPLAY):
        role = int(role)
        if not 0 <= index.row() < len(self.rows):
            return None
        row = self.rows[index.row()]
        if role == DISPLAY:
            return self._texts(row)[index.column()]
        if role == TOOL_TIP and self._toolTip is not None:
            return self._toolTip(row)
        if role == DECORATION and index.column() == 0 and self._picture is not None:
            return self._icon(self._picture(row))
        return None

    def _icon(self, path):
        """Of a picture file, read once; None where there is none."""
        if not path:
            return None
        if path not in self._pictures:
            self._pictures[path] = qt.QIcon(qt.QPixmap(path))
        return self._pictures[path]


class RowsTable:
    """Columns with titles; the first one is as wide as there is room."""

    def __init__(self, view, titles, widths):
        self.view, self.model = view, RowsModel(titles)
        view.setModel(self.model)
        view.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        view.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.verticalHeader().setVisible(False)
        view.verticalHeader().setDefaultSectionSize(22)
        header = view.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        for column, width in enumerate(widths, 1):
            header.setSectionResizeMode(column, qt.QHeaderView.Interactive)
            view.setColumnWidth(column, width)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def show(self, rows, texts=list, toolTip=None, picture=None):
        """Shows rows.

        Args:
            rows: a list of anything.
            texts: row -> texts of the columns. toolTip: row -> text. picture: row -> path of a file, "" for none; all
                are asked when the row is drawn.
        """
        self.model.show(rows, texts, toolTip, picture)

    def texts(self):
        """What is shown, row by row."""
        return [[str(self.model.index(row, column).data() or "") for column in range(self.model.columnCount())]
                for row in range(self.model.rowCount())]
