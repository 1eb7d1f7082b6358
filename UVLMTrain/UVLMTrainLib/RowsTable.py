"""A plain table of texts in a view of the panel."""

import qt


class RowsTable:
    """Columns with titles; the first one is as wide as there is room."""

    def __init__(self, view, titles, widths):
        self.view = view
        self.model = qt.QStandardItemModel(0, len(titles))
        self.model.setHorizontalHeaderLabels(titles)
        view.setModel(self.model)
        view.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        view.setSelectionMode(qt.QAbstractItemView.SingleSelection)
        view.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        view.setAlternatingRowColors(True)
        view.setShowGrid(False)
        view.setWordWrap(False)
        view.verticalHeader().setVisible(False)
        view.verticalHeader().setDefaultSectionSize(22)
        header = view.horizontalHeader()
        header.setMinimumSectionSize(20)
        for column, width in enumerate(widths, 1):
            header.setSectionResizeMode(column, qt.QHeaderView.Interactive)
            view.setColumnWidth(column, width)
        header.setSectionResizeMode(0, qt.QHeaderView.Stretch)

    def fill(self, rows, toolTips=None):
        """Shows rows of texts.

        Args:
            toolTips: one per row.
        """
        self.clear(len(rows))
        for number, row in enumerate(rows):
            self.fillRow(number, row, toolTips[number] if toolTips is not None else "")

    def clear(self, count):
        """`count` empty rows; the model makes its items itself, so that they are its own."""
        self.model.setRowCount(0)
        self.model.setRowCount(count)

    def fillRow(self, number, texts, toolTip=""):
        """Texts of one row."""
        for column, text in enumerate(texts):
            index = self.model.index(number, column)
            self.model.setData(index, text)
            if toolTip:
                self.model.setData(index, toolTip, int(qt.Qt.ToolTipRole))

    def texts(self):
        """What is shown, row by row."""
        return [[str(self.model.index(row, column).data() or "") for column in range(self.model.columnCount())]
                for row in range(self.model.rowCount())]
