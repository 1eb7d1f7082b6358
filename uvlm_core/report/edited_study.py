"""study.json of a study whose reader has changed masks, findings or text."""

from __future__ import annotations

from uvlm_core.report.editing import EditableReport
from uvlm_core.report.labeler import label_sentence


def edited_content(content: dict, report: EditableReport) -> dict:
    """A study's content with text, findings, segments and measurements as they stand now.

    Provenance gets `edited`: the report's state, the number of its changes and, of a signed one, who signed and when.

    Args:
        content: of study.json as the run wrote it; not changed.
    """
    sections = [{"name": section.name, "title": section.title,
                 "sentences": [_row(sentence) for sentence in section.sentences]} for section in report.sections]
    known = set(content["findings"][0]) if content["findings"] else set()
    findings = [{key: row[key] for key in row if key in known} for row in report.findings]
    signature = report.signature
    edited = {"state": report.state, "changes": len(report.changes),
              "signed_by": signature.name if signature else None, "signed_at": signature.time if signature else None}
    return {**content, "findings": findings, "segments": list(report.segments),
            "report": {**content["report"], "sections": sections, "flags": [_flag(flag) for flag in report.flags]},
            "measurements": list(report.measurements), "provenance": {**content["provenance"], "edited": edited}}


def _row(sentence) -> dict:
    mentions = [{"finding": mention.finding, "state": mention.state, "side": mention.side, "place": mention.place,
                 "size_mm": mention.size_mm} for mention in label_sentence(sentence.text)]
    peak = sentence.attribution_peak_ras_mm
    return {"id": sentence.id, "text": sentence.text, "findings": list(sentence.findings), "mentions": mentions,
            "segments": list(sentence.segments), "attribution_peak_ras_mm": None if peak is None else list(peak),
            "token_log_probability": sentence.token_log_probability,
            "flags": [_flag(flag) for flag in sentence.flags if not flag.dismissed]}


def _flag(flag) -> dict:
    return {"kind": flag.kind, "message": flag.message, "sentence": flag.sentence, "finding": flag.finding,
            "expected": flag.expected, "found": flag.found, "suggestion": flag.suggestion}
