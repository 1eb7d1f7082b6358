"""qMRMLSegmentsTableView: the list of a segmentation's segments."""

from __future__ import annotations

import weakref
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from ..properties import StandInProperty
from ..pythonqt import raw
from .mrml_widgets import SceneHolder
from .stand_in import stand_in
from .stored import stored

COLUMNS = ("", "Color", "Opacity", "Name", "Status")
WIDTHS = (28, 40, 56, 180, 60)  # pixels
SEGMENT_ID = QtCore.Qt.UserRole + 1


@stand_in
class qMRMLSegmentsTableView(SceneHolder):
    """Rows with visibility, colour, opacity and name. `segmentationNode()` is a method."""

    segmentAboutToBeModified = QtCore.Signal(str)
    selectionChanged = QtCore.Signal(object, object)
    vars().update(stored("qMRMLSegmentsTableView", filterBarVisible=False, layerColumnVisible=False, readOnly=False,
                         jumpToSelectedSegmentEnabled=False, terminologySelectorAutoDisable=True,
                         terminologySelectorOptionVisible=False, useTerminologySelector=True,
                         useTerminologySelectorSettingsKey=""))

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self._node: Any = None
        self._tags: list[int] = []
        self._hidden: tuple[str, ...] = ()
        self._filter = ""
        self._model = QtGui.QStandardItemModel(0, len(COLUMNS), self)
        self._model.setHorizontalHeaderLabels(list(COLUMNS))
        self._table = QtWidgets.QTableView(self)
        self._table.setModel(self._model)
        raw(self._table, "setSelectionBehavior")(QtWidgets.QAbstractItemView.SelectRows)
        raw(self._table, "setEditTriggers")(QtWidgets.QAbstractItemView.NoEditTriggers)
        raw(raw(self._table, "verticalHeader")(), "setVisible")(False)
        for column, width in enumerate(WIDTHS):
            raw(self._table, "setColumnWidth")(column, width)
        raw(raw(self._table, "horizontalHeader")(), "setStretchLastSection")(True)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._table)
        self._table.selectionModel().connect("selectionChanged(QItemSelection,QItemSelection)",
                                             lambda a, b: self.selectionChanged.emit(a, b))
        self._table.connect("clicked(QModelIndex)", self._clicked)

    # the segmentation

    def mrmlScene(self) -> Any:
        """The scene, or None."""
        return self._scene

    def segmentationNode(self) -> Any:
        """The shown segmentation, or None."""
        return self._node

    def setSegmentationNode(self, node: Any) -> None:
        """Show a segmentation and follow its changes."""
        if node is self._node:
            return
        if self._node is not None:
            for tag in self._tags:
                self._node.RemoveObserver(tag)
        self._node, self._tags = node, []
        if node is not None:
            import slicer
            import vtk

            me = weakref.ref(self)

            def changed(caller: Any, event: str) -> None:
                if me() is not None:
                    me()._refill()

            events = ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SegmentsOrderModified")
            self._tags = [node.AddObserver(getattr(slicer.vtkSegmentation, name), changed) for name in events]
            self._tags += [node.AddObserver(node.DisplayModifiedEvent, changed),
                           node.AddObserver(vtk.vtkCommand.ModifiedEvent, changed)]
        self._refill()

    def _refill(self) -> None:
        if self._node is not None:
            self.filterBarVisible = bool(self._node.GetSegmentListFilterEnabled())  # as in Slicer, whatever was set
        selected = self.selectedSegmentIDs()
        raw(self._model, "setRowCount")(0)
        for identifier in self._segment_ids():
            self._model.appendRow(self._row(identifier))
        if selected != self.selectedSegmentIDs():
            self.setSelectedSegmentIDs(selected)

    def _segment_ids(self) -> list[str]:
        if self._node is None or self._node.GetSegmentation() is None:
            return []
        segmentation = self._node.GetSegmentation()
        found = [segmentation.GetNthSegmentID(i) for i in range(segmentation.GetNumberOfSegments())]
        return [i for i in found if i not in self._hidden
                and self._filter.lower() in segmentation.GetSegment(i).GetName().lower()]

    def _row(self, identifier: str) -> list[QtGui.QStandardItem]:
        segment = self._node.GetSegmentation().GetSegment(identifier)
        display = self._node.GetDisplayNode()
        shown = display is None or display.GetSegmentVisibility(identifier)
        opacity = 1.0 if display is None else display.GetSegmentOpacity3D(identifier)
        color = QtGui.QColor.fromRgbF(*segment.GetColor())
        row = [QtGui.QStandardItem(text) for text in ("\u25c9" if shown else "\u25cb", "", f"{opacity:.2f}",
                                                      segment.GetName(), "")]
        row[1].setBackground(QtGui.QBrush(color))
        for item in row:
            item.setData(identifier, SEGMENT_ID)
        return row

    def _clicked(self, index: Any) -> None:
        display = self._node.GetDisplayNode() if self._node is not None else None
        if index.column() == 0 and display is not None:
            identifier = index.data(SEGMENT_ID)
            display.SetSegmentVisibility(identifier, not display.GetSegmentVisibility(identifier))

    # rows

    def rowForSegmentID(self, identifier: str) -> int:
        """The row of a segment, -1 where it is not shown."""
        shown = self.displayedSegmentIDs()
        return shown.index(identifier) if identifier in shown else -1

    def segmentIDForRow(self, row: int) -> str:
        """The segment of a row."""
        return self.displayedSegmentIDs()[row]

    def displayedSegmentIDs(self) -> tuple[str, ...]:
        """The shown segments in their order."""
        model = self._model
        return tuple(raw(model, "item")(row, 0).data(SEGMENT_ID) for row in range(raw(model, "rowCount")()))

    def selectedSegmentIDs(self) -> tuple[str, ...]:
        """The selected segments."""
        return tuple(index.data(SEGMENT_ID) for index in self._table.selectionModel().selectedRows())

    def setSelectedSegmentIDs(self, identifiers: Any) -> None:
        """Select segments and no others."""
        selection = QtCore.QItemSelection()
        for identifier in identifiers:
            row = self.rowForSegmentID(identifier)
            if row >= 0:
                selection.select(raw(self._model, "index")(row, 0), raw(self._model, "index")(row, len(COLUMNS) - 1))
        self._table.selectionModel().select(selection, QtCore.QItemSelectionModel.ClearAndSelect)

    def clearSelection(self) -> None:
        """Select nothing."""
        raw(self._table, "clearSelection")()

    def hideSegments(self) -> tuple[str, ...]:
        """The segments that are not listed."""
        return self._hidden

    def setHideSegments(self, identifiers: Any) -> None:
        """Leave segments out of the list."""
        self._hidden = tuple(identifiers)
        self._refill()

    def setTextFilter(self, text: str) -> None:
        """List only segments with this in their name."""
        self._filter = text
        self._refill()

    def showOnlySelectedSegments(self) -> None:
        """Hide the others in the views."""
        display = self._node.GetDisplayNode()
        for identifier in self.displayedSegmentIDs():
            display.SetSegmentVisibility(identifier, identifier in self.selectedSegmentIDs())

    def toggleSelectedSegmentsVisibility(self) -> None:
        """Show hidden ones, hide shown ones."""
        display = self._node.GetDisplayNode()
        for identifier in self.selectedSegmentIDs():
            display.SetSegmentVisibility(identifier, not display.GetSegmentVisibility(identifier))

    def jumpSlices(self) -> None:
        """Show the middle of the first selected segment in all slice views."""
        import slicer

        for identifier in self.selectedSegmentIDs()[:1]:
            center = self._node.GetSegmentCenterRAS(identifier)
            if center:
                node = slicer.vtkMRMLSliceNode
                node.JumpAllSlices(slicer.mrmlScene, *center, node.CenteredJumpSlice)

    def tableWidget(self) -> QtWidgets.QTableView:
        """The table within."""
        return self._table

    def model(self) -> QtGui.QStandardItemModel:
        """The table's model."""
        return self._model

    # how it looks

    def _set_column(self, column: int, shown: bool) -> None:
        raw(self._table, "setColumnHidden")(column, not shown)

    def setSelectionMode(self, mode: int) -> None:
        """One or many rows."""
        raw(self._table, "setSelectionMode")(QtWidgets.QAbstractItemView.SelectionMode(mode))

    def setReadOnly(self, value: bool) -> None:
        """As writing `readOnly`."""
        self.readOnly = value

    def setFilterBarVisible(self, value: bool) -> None:
        """As writing `filterBarVisible`."""
        self.filterBarVisible = value

    def setHeaderVisible(self, shown: bool) -> None:
        """The header row."""
        raw(raw(self._table, "horizontalHeader")(), "setVisible")(shown)

    def setVisibilityColumnVisible(self, shown: bool) -> None:
        """The column with the eyes."""
        self._set_column(0, shown)

    def setColorColumnVisible(self, shown: bool) -> None:
        """The column with the colours."""
        self._set_column(1, shown)

    def setOpacityColumnVisible(self, shown: bool) -> None:
        """The column with the opacities."""
        self._set_column(2, shown)

    def setStatusColumnVisible(self, shown: bool) -> None:
        """The column with the states."""
        self._set_column(4, shown)

    segmentCount = StandInProperty(int, lambda self: raw(self._model, "rowCount")())
    textFilter = StandInProperty(str, lambda self: self._filter, setTextFilter)
    selectionMode = StandInProperty(int, lambda self: int(raw(self._table, "selectionMode")()), setSelectionMode)
    headerVisible = StandInProperty(bool, lambda self: not raw(raw(self._table, "horizontalHeader")(), "isHidden")(),
                                    setHeaderVisible)
    visibilityColumnVisible = StandInProperty(bool, lambda self: not raw(self._table, "isColumnHidden")(0),
                                              setVisibilityColumnVisible)
    colorColumnVisible = StandInProperty(bool, lambda self: not raw(self._table, "isColumnHidden")(1),
                                         setColorColumnVisible)
    opacityColumnVisible = StandInProperty(bool, lambda self: not raw(self._table, "isColumnHidden")(2),
                                           setOpacityColumnVisible)
    statusColumnVisible = StandInProperty(bool, lambda self: not raw(self._table, "isColumnHidden")(4),
                                          setStatusColumnVisible)
