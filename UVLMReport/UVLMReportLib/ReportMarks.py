"""Colours in the report: sentence at the cursor, those of a clicked mask, old measurements, contradictions, finds."""

import qt

AMBER, ACTIVE, LINKED, FOUND = (255, 193, 7), (90, 150, 230, 60), (110, 200, 120, 90), (255, 240, 90)
CONTRADICTION, DARK = (200, 40, 30), (20, 20, 20)


class ReportMarks:
    """Sets the extra selections of the editor. They are no part of the text, so nothing of them is ever saved."""

    def __init__(self, text):
        self.text = text  # ReportText
        self.active, self.linked, self.found = None, [], []  # sentence id, sentence ids, [(start, end)]

    def show(self):
        """Draws all marks anew; later ones lie above."""
        report, layout = self.text.report, self.text.layout
        marks = []
        if report is not None:
            spans = {piece.sentence: piece.start for piece in layout.pieces if piece.kind == "sentence"}
            for name, colour in [(name, LINKED) for name in self.linked] + [(self.active, ACTIVE)]:
                if name in spans:
                    marks.append(self._mark(*layout.span_of(name), background=colour))
            for field in report.stale_fields:
                if field.sentence in spans:
                    begin = spans[field.sentence]
                    marks.append(self._mark(begin + field.start, begin + field.end, background=AMBER, text=DARK))
            for flag in report.all_flags:
                if flag.sentence in spans and not flag.dismissed:
                    marks.append(self._flagMark(flag, spans[flag.sentence], layout))
            marks += [self._mark(start, end, background=FOUND, text=DARK) for start, end in self.found]
        self.text.edit.setExtraSelections(marks)

    def _flagMark(self, flag, begin, layout):
        span = layout.span_of(flag.sentence) if flag.start is None else (begin + flag.start, begin + flag.end)
        return self._mark(*span, underline=CONTRADICTION)

    def _mark(self, start, end, background=None, text=None, underline=None):
        mark = qt.QTextEdit.ExtraSelection()
        style = qt.QTextCharFormat()
        if background is not None:
            style.setBackground(qt.QBrush(qt.QColor(*background)))
        if text is not None:
            style.setForeground(qt.QBrush(qt.QColor(*text)))
        if underline is not None:
            style.setUnderlineStyle(qt.QTextCharFormat.WaveUnderline)
            style.setUnderlineColor(qt.QColor(*underline))
        mark.cursor = self.text.cursorOver(start, end)
        mark.format = style
        return mark


def marksAt(report, layout, offset):
    """(stale fields, flags) at an offset of the text, for tool tips and menus."""
    name = layout.sentence_at(offset)
    if name is None:
        return [], []
    inside = offset - layout.span_of(name)[0]
    sentence = report.sentence(name)
    fields = [field for field in sentence.fields if field.state == "stale" and field.start <= inside <= field.end]
    flags = [flag for flag in sentence.flags if not flag.dismissed
             and (flag.start is None or flag.start <= inside <= flag.end)]
    return fields, flags
