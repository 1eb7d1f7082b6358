"""The edited report as one page of HTML that browsers and Qt's QTextDocument both show (so also as PDF).

Made without jinja2, which Slicer's Python does not have: `_tag` escapes every text that is put into it.
"""

from __future__ import annotations

from html import escape

from uvlm_core.report.editing.differences import ADDED, REMOVED
from uvlm_core.report.editing.export_content import addendum_line, finding_state, open_notes, status_lines
from uvlm_core.report.plain_text import NOTICE, measurement_words, measurements_by_segment
from uvlm_core.report.provenance import provenance_rows

_STYLES = {ADDED: "color:#0b6b2e; background-color:#e2f4e6; text-decoration:underline",
           REMOVED: "color:#9b1c1c; background-color:#fbe6e6; text-decoration:line-through"}
_NOTE = "color:#8a4b00; font-size:small"
_BODY = "font-family:sans-serif; color:#1a1a1a; background-color:#ffffff"


class _Html(str):
    """Text that is HTML already."""


def _tag(name: str, *parts, **attributes) -> _Html:
    """An element; parts that are no `_Html` are escaped, attributes too."""
    inside = "".join(part if isinstance(part, _Html) else escape(str(part)) for part in parts)
    given = "".join(f' {key}="{escape(str(value))}"' for key, value in attributes.items())
    return _Html(f"<{name}{given}>{inside}</{name}>")


def _joined(parts) -> _Html:
    return _Html("".join(parts))


def report_html(report, tracked: bool, flags: bool) -> str:
    """The page; equal reports give equal text."""
    notice = _tag("p", _tag("b", NOTICE), style="color:#9b1c1c; text-align:center")
    title = f"UVLM report for {report.scan['name']}"
    body = [notice, _tag("h1", title), *(_tag("p", line) for line in status_lines(report))]
    body += [_tag("p", f"Note: {warning}", style=_NOTE) for warning in report.scan["warnings"]]
    if tracked:
        body.append(_tag("p", "Compared with the text that the model wrote: ", _piece("added", ADDED), " ",
                         _piece("removed", REMOVED), ", with the time (UTC) of the change.", style="font-size:small"))
    body += _sections(report, tracked, flags)
    if flags and report.flags:
        body.append(_tag("ul", *(_tag("li", note, style=_NOTE) for note in open_notes(report))))
    body += [_tag("h2", "Findings"), _findings(report), _tag("h2", "Measurements (from the masks)"),
             _measurements(report), _tag("h2", "Provenance"), _provenance(report), notice]
    head = _joined([_Html('<meta charset="utf-8">'), _tag("title", title)])
    page = _tag("html", _tag("head", head), _tag("body", *(_joined([part, _Html("\n")]) for part in body), style=_BODY),
                lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _sections(report, tracked: bool, flags: bool) -> list[_Html]:
    addenda = {row.section: row for row in report.addenda}
    changes: dict[str, list] = {}
    for row in report.differences() if tracked else ():
        changes.setdefault(row.section, []).append(row)
    titles = {section.name: section.title for section in report.sections}
    titles |= {name: report.generated_title(name) for name in changes if name not in titles}
    parts = []
    for name, title in titles.items():
        sentences = next((section.sentences for section in report.sections if section.name == name), ())
        text = _tracked(changes.get(name, ())) if tracked else " ".join(sentence.text for sentence in sentences)
        if not text and name not in addenda:
            continue
        parts.append(_tag("h2", title))
        if name in addenda:
            parts.append(_tag("p", addendum_line(addenda[name]), style="font-size:small"))
        parts.append(_tag("p", text))
        notes = [note for sentence in sentences for note in open_notes(report, sentence)] if flags else []
        if notes:
            parts.append(_tag("ul", *(_tag("li", note, style=_NOTE) for note in notes)))
    return parts


def _tracked(rows) -> _Html:
    """The sentences of a section with what was added and removed, and when."""
    parts = []
    for row in rows:
        parts += [_piece(piece.text, piece.kind) for piece in row.pieces]
        if row.kind != "same" and row.time:
            parts.append(_tag("span", f" [{row.time}]", style="font-size:small; color:#666666"))
        parts.append(_Html(" "))
    return _joined(parts)


def _piece(text: str, kind: str) -> _Html:
    return _tag("span", text, style=_STYLES[kind]) if kind in _STYLES else _Html(escape(text))


def _table(head, rows) -> _Html:
    cells = [_tag("tr", *(_tag("th", text, align="left") for text in head))] if head else []
    cells += [_tag("tr", *(_tag("td", text) for text in row)) for row in rows]
    return _tag("table", *cells, border="1", cellspacing="0", cellpadding="3", style="border-collapse:collapse")


def _findings(report) -> _Html:
    rows = [(row["name"], finding_state(row), *(("", "") if row["state"] == "not imaged" else (
        f"{row['probability']:.2f}", f"{row['threshold']:.2f}"))) for row in report.findings
        if row["state"] != "not assessed"]
    missing = [row["name"] for row in report.findings if row["state"] == "not assessed"]
    table = _table(("Finding", "State", "Probability", "Threshold"), rows)
    if not missing:
        return table
    return _joined([table, _tag("p", f"Not assessed by this model: {', '.join(missing)}.", style="font-size:small")])


def _measurements(report) -> _Html:
    table = measurements_by_segment({"measurements": report.measurements})
    rows = []
    for segment in report.segments:
        values = table.get(segment["id"], {})
        if segment["kind"] != "organ" or "cardiothoracic_ratio" in values:
            words = ", ".join(map(measurement_words, values.values()))
            rows.append((segment["title"], segment["place"] or segment["side"] or "", words))
    return _table(("Mask", "Place", "Measurements"), rows) if rows else _tag("p", "None.")


def _provenance(report) -> _Html:
    return _table((), [(row["name"], row["value"]) for row in provenance_rows(report.scan, report.provenance)])
