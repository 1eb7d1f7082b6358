"""The edited report as plain text."""

from __future__ import annotations

from uvlm_core.report.editing.export_content import addendum_line, finding_state, open_notes, status_lines
from uvlm_core.report.plain_text import NOTICE, measurement_lines, origin_line, wrapped


def report_text(report, flags: bool) -> str:
    """Notice, state, text with addenda, findings, measurements, provenance; flags below their section where wanted."""
    addenda = {row.section: row for row in report.addenda}
    lines = [NOTICE, "", f"UVLM report for {report.scan['name']}", *map(wrapped, status_lines(report)), ""]
    lines += [wrapped(f"Note: {warning}") for warning in report.scan["warnings"]]
    for section in report.sections:
        text = " ".join(sentence.text for sentence in section.sentences)
        if text or section.name in addenda:
            lines.append(wrapped(f"{section.title}: {text}"))
        if section.name in addenda:
            lines.append(wrapped(f"  {addendum_line(addenda[section.name])}"))
        if flags:
            lines += [wrapped(f"  [check: {note}]", "    ") for sentence in section.sentences
                      for note in open_notes(report, sentence)]
    if flags:
        lines += [wrapped(f"[check: {note}]") for note in open_notes(report)]
    lines += ["", "Findings (probability, threshold)", *_findings(report.findings)]
    study = {"segments": report.segments, "measurements": report.measurements, "scan": report.scan,
             "provenance": report.provenance}
    lines += ["", "Measurements (from the masks)", *measurement_lines(study), "", origin_line(study)]
    return "\n".join([*lines, "", NOTICE]) + "\n"


def _findings(rows: list[dict]) -> list[str]:
    lines = []
    for row in rows:
        if row["state"] == "not imaged":
            lines.append(f"  {row['name']}: not imaged")
        elif row["state"] != "not assessed":
            lines.append(wrapped(f"  {row['name']}: {finding_state(row)} ({row['probability']:.2f}, "
                                 f"{row['threshold']:.2f})", "    "))
    missing = [row["name"] for row in rows if row["state"] == "not assessed"]
    return lines + ([wrapped(f"Not assessed by this model: {', '.join(missing)}.")] if missing else [])
