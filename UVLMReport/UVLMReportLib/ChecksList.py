"""The list "To check": stale measurements, contradictions and offered sentences, and what can be done about them."""

from slicer.i18n import tr as _

from UVLMShared.SingleShot import singleShot

VALUE, FLAG, OFFER = "value", "flag", "offer"
SIGNS = {VALUE: "◷ ", FLAG: "⚑ ", OFFER: "+ "}
LEAST_HEIGHT, MOST_HEIGHT = 40, 150  # pixels


class Point:
    """One line of the list: `key` finds it again, `text` says it, `fix` is what Accept does ("" for nothing)."""

    def __init__(self, kind, sentence, index, text, fix):
        self.kind, self.sentence, self.index, self.text, self.fix = kind, sentence, index, text, fix
        self.key = f"{kind}/{sentence or ''}/{index}"


def pointsOf(report):
    """All that is open in a report, as Points: measurements, then contradictions in reading order, then offers."""
    points = []
    for field in report.stale_fields:
        points.append(Point(VALUE, field.sentence, field.index, f"{field.old} → {field.new}",
                            _("Change to {value}").format(value=field.new)))
    own = [(sentence.id, sentence.flags) for sentence in report.sentences] + [(None, report.flags)]
    for name, flags in own:
        for index, flag in enumerate(flags):
            if not flag.dismissed:
                fixes = report.quick_fixes(name, index)
                points.append(Point(FLAG, name, index, flag.message, fixes[0].title if fixes else ""))
    for offer in report.offers:
        points.append(Point(OFFER, None, offer.id, _("New sentence: {text}").format(text=offer.text),
                            _("Insert the sentence")))
    return points


class ChecksList:
    """Shows the points, leads to their sentences, accepts and dismisses them.

    Args:
        change: called with a function of the report; runs it, saves the report and shows errors.
        goTo: called with a sentence id after a click.
    """

    def __init__(self, ui, change, goTo):
        self.ui, self.change, self.goTo = ui, change, goTo
        self.report, self.points = None, []
        self._filling, self._editable = False, True
        self.fitTimer = singleShot(0, self._fitHeight)  # lines are wrapped when the list has been laid out
        ui.checksList.connect("currentRowChanged(int)", self._onRow)
        ui.checksList.connect("itemDoubleClicked(QListWidgetItem*)", lambda item: self.accept())
        ui.acceptButton.connect("clicked()", self.accept)
        ui.dismissButton.connect("clicked()", self.dismiss)
        ui.acceptAllButton.connect("clicked()", self.acceptAll)

    def show(self, report, editable=True):
        """Shows the open points of a report; the selection stays where its point is still there."""
        self.report, self._editable = report, editable
        points = pointsOf(report) if report is not None else []
        chosen = self.current.key if self.current is not None else None
        if [(point.key, point.text) for point in points] != [(point.key, point.text) for point in self.points]:
            self._filling = True
            self.ui.checksList.clear()
            for row, point in enumerate(points):
                self.ui.checksList.addItem(SIGNS[point.kind] + point.text)
                self.ui.checksList.item(row).setToolTip(point.text + (f"\n{point.fix}" if point.fix else ""))
            self._filling = False
            self.fitTimer.start()
        self.points = points
        self._filling = True
        rows = [row for row, point in enumerate(points) if point.key == chosen]
        self.ui.checksList.setCurrentRow(rows[0] if rows else -1)
        self._filling = False
        self._showButtons()

    @property
    def current(self):
        """The chosen Point, or None."""
        row = self.ui.checksList.currentRow
        return self.points[row] if 0 <= row < len(self.points) else None

    def selectSentence(self, name):
        """Chooses the first point of a sentence, without moving the cursor."""
        if self.current is not None and self.current.sentence == name:
            return
        rows = [row for row, point in enumerate(self.points) if point.sentence == name and name is not None]
        self._filling = True
        self.ui.checksList.setCurrentRow(rows[0] if rows else -1)
        self._filling = False
        self._showButtons()

    # ---- doing

    def accept(self, point=None):
        """Takes the new value, the first quick fix, or the offered sentence of the chosen point."""
        point = point or self.current
        if point is None or not point.fix or not self._editable:
            return
        if point.kind == VALUE:
            self.change(lambda report: report.accept_field(point.sentence, point.index))
        elif point.kind == FLAG:
            self.change(lambda report: report.quick_fix(point.sentence, point.index))
        else:
            self.change(lambda report: report.accept_offer(point.index))

    def dismiss(self, point=None):
        """Keeps the text as it is."""
        point = point or self.current
        if point is None or not self._editable:
            return
        if point.kind == VALUE:
            self.change(lambda report: report.dismiss_field(point.sentence, point.index))
        elif point.kind == FLAG:
            self.change(lambda report: report.dismiss_flag(point.sentence, point.index))
        else:
            self.change(lambda report: report.dismiss_offer(point.index))

    def acceptAll(self):
        """Takes the new values of all measurements."""
        if self._editable:
            self.change(lambda report: report.accept_all_fields())

    def _fitHeight(self):
        """As tall as its lines, within limits, so that the text above keeps its room."""
        view = self.ui.checksList
        lines = sum(view.visualItemRect(view.item(row)).height() for row in range(view.count))
        view.setFixedHeight(max(LEAST_HEIGHT, min(MOST_HEIGHT, lines + 6)))

    def _onRow(self, row):
        self._showButtons()
        if not self._filling and self.current is not None and self.current.sentence is not None:
            self.goTo(self.current.sentence)

    def _showButtons(self):
        ui, point = self.ui, self.current
        ui.checksWidget.setVisible(bool(self.points))
        values = sum(one.kind == VALUE for one in self.points)
        ui.checksTitle.setText(_("To check ({count})").format(count=len(self.points)))
        ui.acceptButton.setText(point.fix if point is not None and point.fix else _("Accept"))
        ui.acceptButton.setEnabled(self._editable and point is not None and bool(point.fix))
        ui.dismissButton.setEnabled(self._editable and point is not None)
        ui.acceptAllButton.setVisible(values > 1)
        ui.acceptAllButton.setEnabled(self._editable)
