"""Searching in the report."""

from slicer.i18n import tr as _

from UVLMReportLib.FindKey import FindKey


class FindBar:
    """The bar below the editor: all places of some words, one after the other.

    Args:
        text: ReportText. marks: ReportMarks, whose `found` it sets.
    """

    def __init__(self, ui, text, marks):
        self.ui, self.text, self.marks = ui, text, marks
        self.places, self.number = [], -1
        ui.findBar.setVisible(False)
        ui.findButton.connect("toggled(bool)", self.open)
        ui.findText.connect("textChanged(QString)", self.search)
        ui.findText.connect("returnPressed()", self.next)
        ui.findNextButton.connect("clicked()", self.next)
        ui.findPreviousButton.connect("clicked()", self.previous)
        self.key = FindKey((ui.reportEdit, ui.findText), self.open)

    def open(self, wanted=True):
        """Shows or hides the bar."""
        self.ui.findButton.setChecked(wanted)
        self.ui.findBar.setVisible(wanted)
        if wanted:
            self.ui.findText.setFocus()
            self.ui.findText.selectAll()
        self.search()

    def search(self, *ignored):
        """Finds all places, whatever their case."""
        words = self.ui.findText.text.lower() if self.ui.findButton.checked else ""
        text = self.text.layout.text.lower() if self.text.layout is not None else ""
        self.places, start = [], text.find(words) if words else -1
        while start >= 0:
            self.places.append((start, start + len(words)))
            start = text.find(words, start + len(words))
        self.number = -1
        self.marks.found = self.places
        self.marks.show()
        self._count()

    def next(self):
        self._go(1)

    def previous(self):
        self._go(-1)

    def _go(self, step):
        if self.places:
            self.number = (self.number + step) % len(self.places) if self.number >= 0 else (0 if step > 0 else -1)
            self.number %= len(self.places)
            self.text.putCursor(self.places[self.number][0])
        self._count()

    def _count(self):
        if not self.ui.findText.text:
            self.ui.findCount.setText("")
        elif not self.places:
            self.ui.findCount.setText(_("not found"))
        else:
            self.ui.findCount.setText(f"{max(self.number, 0) + 1}/{len(self.places)}")
