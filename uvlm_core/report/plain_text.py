"""`report.txt`: the report as plain text, with its flags, the findings and the notice."""

from __future__ import annotations

import textwrap

from uvlm_core.report.provenance import document_kind

NOTICE = "RESEARCH USE ONLY. NOT FOR CLINICAL DECISIONS."
WIDTH = 100


def plain_text(study: dict) -> str:
    """The text of a study.json; the same content gives the same text."""
    lines = [NOTICE, "", f"UVLM {document_kind(study['provenance'])} for {study['scan']['name']}", ""]
    lines += [wrapped(f"Note: {warning}") for warning in study["scan"]["warnings"]]
    for section in study["report"]["sections"]:
        lines.append(wrapped(f"{section['title']}: {' '.join(row['text'] for row in section['sentences'])}"))
        lines += [wrapped(f"  [check: {flag['message']}]", "    ")
                  for row in section["sentences"] for flag in row["flags"]]
    lines += [wrapped(f"[check: {flag['message']}]", "  ") for flag in study["report"]["flags"]]
    if not study["report"]["sections"]:
        lines.append("The model writes no report.")
    lines += ["", "Findings (probability, threshold)"]
    lines += [finding_line(row) for row in study["findings"] if row["state"] != "not assessed"]
    missing = [row["name"] for row in study["findings"] if row["state"] == "not assessed"]
    if missing:
        lines.append(wrapped(f"Not assessed by this model: {', '.join(missing)}.", "  "))
    lines += ["", "Measurements (from the masks)", *measurement_lines(study)]
    lines += ["", origin_line(study)]
    return "\n".join([*lines, "", NOTICE]) + "\n"


def origin_line(study: dict) -> str:
    """Which model read which scan, and whether somebody has changed the result."""
    provenance = study["provenance"]
    return wrapped(f"Model {provenance.get('model', '?')} {provenance.get('model_version', '')}, bundle sha256 "
                   f"{provenance.get('bundle_sha256', '?')}; scan sha256 {study['scan']['sha256']}."
                   f"{_edited_words(provenance.get('edited'))}")


def _edited_words(edited: dict | None) -> str:
    """What a reader has done to the run's study; "" where nobody has."""
    if edited is None:
        return ""
    signed = f", signed by {edited['signed_by']} at {edited['signed_at']}" if edited["signed_by"] else ", not signed"
    return f" Masks and text as corrected by a reader ({edited['changes']} changes{signed})."


def wrapped(text: str, indent: str = "  ") -> str:
    """The text in lines of WIDTH, the following ones indented."""
    return textwrap.fill(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def finding_line(row: dict) -> str:
    """One finding with state, side, probability and threshold."""
    side = f", {row['side']}" if row["side"] and row["present"] else ""
    if row["state"] == "not imaged":
        return f"  {row['name']}: not imaged"
    return f"  {row['name']}: {row['state']}{side} ({row['probability']:.2f}, {row['threshold']:.2f})"


def measurements_by_segment(study: dict) -> dict[str, dict[str, dict]]:
    """Segment id -> name of the quantity -> its measurement."""
    table: dict[str, dict[str, dict]] = {}
    for row in study["measurements"]:
        table.setdefault(row["segment"], {})[row["name"]] = row
    return table


def measurement_words(row: dict) -> str:
    """One measurement: "longest diameter 24.3 mm", "mean -35 HU"."""
    name = row["name"].removesuffix("_hu").replace("_", " ")
    return f"{name} {row['value']:g}{'' if row['unit'] == '1' else ' ' + row['unit']}"


def measurement_lines(study: dict) -> list[str]:
    """What the masks of lesions (and the heart) measure."""
    lines, table = [], measurements_by_segment(study)
    for segment in study["segments"]:
        values = table.get(segment["id"], {})
        if segment["kind"] == "organ" and "cardiothoracic_ratio" not in values:
            continue
        place = f", {segment['place']}" if segment["place"] else ""
        words = ", ".join(map(measurement_words, values.values()))
        lines.append(wrapped(f"  {segment['title']}{place}: {words}", "    "))
    return lines or ["  none"]
