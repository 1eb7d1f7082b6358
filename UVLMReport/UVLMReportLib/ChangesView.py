"""Generated, edited and signed text compared word by word, with the times of the changes."""

import html

from slicer.i18n import tr as _

ADDED, REMOVED, GREY = "#1b7f3b", "#b3261e", "#808080"


class ChangesView:
    """The second page of the report: what was changed since when."""

    def __init__(self, ui):
        self.ui = ui
        self.report, self._filling = None, False
        ui.changesButton.connect("toggled(bool)", self._onToggled)
        ui.changesFrom.connect("currentIndexChanged(int)", self._onChosen)
        ui.changesTo.connect("currentIndexChanged(int)", self._onChosen)

    def show(self, report):
        """Compares the versions of a report, if this page is open."""
        self.report = report
        if self.ui.changesButton.checked:
            self._fillVersions()
            self._compare()

    def _fillVersions(self):
        signed = self.report is not None and self.report.signature is not None
        versions = [("generated", _("generated")), ("edited", _("edited"))]
        versions += [("signed", _("signed"))] if signed else []
        self._filling = True
        for selector, usual in ((self.ui.changesFrom, "generated"), (self.ui.changesTo, "edited")):
            chosen = selector.itemData(selector.currentIndex) or usual
            selector.clear()
            for version, title in versions:
                selector.addItem(title, version)
            selector.setCurrentIndex(max(0, selector.findData(chosen)))
        self._filling = False

    def _onToggled(self, wanted):
        self.ui.reportPages.setCurrentIndex(1 if wanted else 0)
        self.show(self.report)

    def _onChosen(self, index):
        if not self._filling:
            self._compare()

    def _compare(self):
        if self.report is None:
            self.ui.changesView.setHtml("")
            return
        before, after = [selector.itemData(selector.currentIndex)
                         for selector in (self.ui.changesFrom, self.ui.changesTo)]
        rows = self.report.differences(before, after)
        scroll = self.ui.changesView.verticalScrollBar().value
        self.ui.changesView.setHtml(differencesHtml(rows, self.report) + changesHtml(self.report))
        self.ui.changesView.verticalScrollBar().setValue(scroll)


def differencesHtml(rows, report):
    """All sentences under their headings; what was added is green, what was removed is red and struck out."""
    titles = {section.name: section.title for section in report.sections}
    parts, section = [], None
    for row in rows:
        if row.section != section:
            section = row.section
            parts.append(f"<p style='margin:8px 0 2px 0'><b>{html.escape(titles.get(section, section))}</b></p>")
        when = f" <span style='color:{GREY}'><small>{html.escape(clock(row.time))}</small></span>" if row.time else ""
        parts.append(f"<p style='margin:2px 0'>{''.join(map(_piece, row.pieces))}{when}</p>")
    return "".join(parts)


def changesHtml(report):
    """Every change with its time, the latest first."""
    titles, undone = changeTitles(), " " + _("(taken back)")
    lines = [f"<tr><td><small>{html.escape(clock(change.time))}</small></td>"
             f"<td>{html.escape(titles.get(change.kind) or change.kind.replace('_', ' ').capitalize())}"
             f"{undone if change.undone else ''}</td></tr>" for change in reversed(report.changes)]
    if not lines:
        return f"<p style='color:{GREY}'>{html.escape(_('Nothing was changed yet.'))}</p>"
    return f"<hr><p><b>{html.escape(_('Changes'))}</b></p><table cellspacing='4'>{''.join(lines)}</table>"


def changeTitles():
    """{kind of change: how a reader understands it}; each title costs a look-up of its translation."""
    return {
        "edit_sentence": _("Sentence edited"), "insert_sentence": _("Sentence inserted"),
        "remove_sentence": _("Sentence removed"), "move_sentence": _("Sentence moved"),
        "accept_field": _("Measurement taken over"), "dismiss_field": _("Old measurement kept"),
        "override_finding": _("Finding overruled"), "quick_fix": _("Contradiction repaired"),
        "dismiss_flag": _("Contradiction dismissed"), "sign": _("Signed"), "start_addendum": _("Addendum begun"),
        "measured": _("Mask measured"), "segment_removed": _("Mask removed"), "segment_added": _("Mask added"),
    }


def clock(time):
    """A UTC time of the report (ISO 8601) as local date and time."""
    from datetime import datetime

    try:
        return datetime.fromisoformat(time.replace("Z", "+00:00")).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return time


def _piece(piece):
    text = html.escape(piece.text)
    if piece.kind == "added":
        return f"<span style='color:{ADDED};text-decoration:underline'>{text}</span>"
    if piece.kind == "removed":
        return f"<span style='color:{REMOVED};text-decoration:line-through'>{text}</span>"
    return text
