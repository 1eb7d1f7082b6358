"""Links and flags of a report anew, after its text, its masks or its findings were edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from uvlm_core.labels import finding_named
from uvlm_core.report.checks import check_report
from uvlm_core.report.document import Report, Section, Sentence
from uvlm_core.report.labeler import label_sentence
from uvlm_core.report.links import link_report
from uvlm_core.report.segments import Segment, side_of

UNCHECKED = ("field_of_view",)  # sections that were written by rule about what is not imaged


def segments_of_rows(rows: Sequence[Mapping], measurements: Sequence[Mapping]) -> list[Segment]:
    """Segments from the `segments` and `measurements` of study.json; what the rows leave out is 0 or None."""
    values = {(row["segment"], row["name"]): row["value"] for row in measurements}
    nowhere = (0.0, 0.0, 0.0)
    return [Segment(id=row["id"], label=row["name"], volume_ml=row.get("volume_ml") or 0.0,
                    mean_hu=values.get((row["id"], "mean_hu"), 0.0), centroid=nowhere, box=(nowhere, nowhere),
                    side=row.get("side"), place=row.get("place"),
                    longest_diameter_mm=values.get((row["id"], "longest_diameter")),
                    short_axis_mm=values.get((row["id"], "short_axis"))) for row in rows]


def recheck(sections: Sequence[Mapping], findings: Sequence[Mapping], segments: Sequence[Segment],
            imaged: Sequence[str], has_prior: bool = False) -> dict:
    """What study.json would say about the links and flags of this report.

    Args:
        sections: `name`, `sentences` with `id` and `text`; whatever else they have is kept.
        findings: rows of study.json, with the states as they now stand.
        imaged: names of the regions in the field of view.

    Returns:
        `sections` with fresh findings, mentions, segments and flags of each sentence; `flags` of the report as a whole;
        `findings` with fresh segments and side.
    """
    rows = [_with_masks(row, segments) for row in findings]
    report = Report([Section(section["name"], section.get("title", ""),
                             [Sentence(row["id"], row["text"]) for row in section["sentences"]])
                     for section in sections])
    link_report(report, segments)
    checked = Report([section for section in report.sections if section.name not in UNCHECKED])
    flags = [flag.to_dict() for flag in check_report(checked, rows, segments, imaged, has_prior)]
    fresh = {sentence.id: sentence for sentence in report.sentences}
    edited = [{**section, "sentences": [_fresh(row, fresh[row["id"]], flags) for row in section["sentences"]]}
              for section in sections]
    return {"sections": edited, "flags": [flag for flag in flags if flag["sentence"] is None], "findings": rows}


def _fresh(row: Mapping, sentence: Sentence, flags: Sequence[dict]) -> dict:
    return {**row, "findings": sentence.findings, "segments": sentence.segments,
            "mentions": [mention.to_row() for mention in label_sentence(sentence.text)],
            "flags": [flag for flag in flags if flag["sentence"] == sentence.id]}


def _with_masks(row: Mapping, segments: Sequence[Segment]) -> dict:
    finding = finding_named(row["name"])
    own = [segment for segment in segments if segment.label == finding.label]
    return {**row, "segments": [segment.id for segment in own], "side": side_of(own) if finding.lateralised else None}
