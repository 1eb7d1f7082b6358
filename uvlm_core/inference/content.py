"""The content of study.json: plain values of everything that one run found (docs/study-schema.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from uvlm_core.inference.field_of_view import FieldOfView
from uvlm_core.inference.study_folder import SCHEMA
from uvlm_core.labels import label_named, labels, regions
from uvlm_core.report.document import Report
from uvlm_core.report.labeler import label_sentence
from uvlm_core.report.segments import Segment
from uvlm_core.volumes.volume import Volume

# name -> unit, UCUM unit, and the code of DICOM PS3.16 (TID 1411, TID 1419)
QUANTITIES = {
    "longest_diameter": ("mm", "mm", ["SCT", "103339001", "Long Axis"]),
    "short_axis": ("mm", "mm", ["SCT", "103340004", "Short Axis"]),
    "volume": ("ml", "ml", ["SCT", "118565006", "Volume"]),
    "mean_hu": ("HU", "[hnsf'U]", ["DCM", "112031", "Attenuation Coefficient"]),
    "cardiothoracic_ratio": ("1", "1", None),
}


def study_content(volume: Volume, scan_hash: str, warnings: Sequence[str], view: FieldOfView, findings: list[dict],
                  segments: Sequence[Segment], cut: set[str], ratio: float | None, report: dict,
                  provenance: dict) -> dict:
    """Everything of study.json in its order.

    Args:
        cut: names of the labels that reach the border of what was imaged.
        ratio: cardiothoracic ratio, None where it cannot be measured.
        report: of `report_content`.
    """
    measurements = [row for segment in segments for row in measurement_rows(segment)]
    if ratio is not None and any(segment.id == "heart" for segment in segments):
        measurements.append(measurement_row("heart", "cardiothoracic_ratio", ratio))
    return {
        "schema": SCHEMA,
        "scan": {"name": volume.name, "sha256": scan_hash, "modality": volume.meta.get("modality", "CT"),
                 "shape": list(volume.shape), "spacing_mm": [round(step, 6) for step in volume.spacing],
                 "ijk_to_ras": [[round(float(value), 9) for value in row] for row in volume.ijk_to_ras],
                 "warnings": list(warnings)},
        "regions": [{"name": name, "title": title, "coverage": view.regions[name]}
                    for name, title in regions().items()],
        "organs": dict(view.organs),
        "findings": findings,
        "segments": segment_rows(segments, cut),
        "report": report,
        "measurements": measurements,
        "provenance": provenance,
    }


def segment_rows(segments: Sequence[Segment], cut: set[str]) -> list[dict]:
    """The `segments` of study.json."""
    several = {name for name in {segment.label for segment in segments}
               if sum(segment.label == name for segment in segments) > 1}
    rows = []
    for segment in segments:
        label = label_named(segment.label)
        number = f" {segment.id.rsplit('_', 1)[1]}" if segment.label in several else ""
        rows.append({"id": segment.id, "name": label.name, "title": label.title + number, "label": label.id,
                     "kind": label.kind, "region": label.region, "side": segment.side, "place": segment.place,
                     "volume_ml": round(segment.volume_ml, 3), "bbox_ras_mm": [list(corner) for corner in segment.box],
                     "centroid_ras_mm": list(segment.centroid), "color": list(label.color), "codes": label.codes,
                     "cut_by_border": label.kind == "organ" and label.name in cut,
                     "measurements": [row["id"] for row in measurement_rows(segment)]})
    return rows


def measurement_rows(segment: Segment) -> list[dict]:
    """The `measurements` of one mask."""
    values = {"longest_diameter": segment.longest_diameter_mm, "short_axis": segment.short_axis_mm,
              "volume": segment.volume_ml, "mean_hu": segment.mean_hu}
    return [measurement_row(segment.id, name, value) for name, value in values.items() if value is not None]


def measurement_row(segment: str, name: str, value: float) -> dict:
    """One row of `measurements`, with the unit, digits and code of its quantity."""
    unit, ucum, code = QUANTITIES[name]
    digits = 3 if name in ("volume", "cardiothoracic_ratio") else 1
    return {"id": f"{segment}.{name}", "segment": segment, "name": name, "value": round(float(value), digits),
            "unit": unit, "ucum": ucum, "code": code}


def report_content(report: Report, removed: list[dict], flags: list[dict]) -> dict:
    """The `report` of study.json: sentences with what they speak of; `removed`: unseen, or said twice."""
    sections = []
    for section in report.sections:
        sentences = []
        for row in section.sentences:
            mentions = [mention.to_row() for mention in label_sentence(row.text)]
            peak, sure = row.attribution_peak_ras, row.log_probability
            sentences.append({"id": row.id, "text": row.text, "findings": list(row.findings), "mentions": mentions,
                              "segments": list(row.segments),
                              "attribution_peak_ras_mm": None if peak is None else [round(float(v), 2) for v in peak],
                              "token_log_probability": None if sure is None else round(float(sure), 4),
                              "grounded": list(row.grounded), "flags": list(row.flags)})
        sections.append({"name": section.name, "title": section.title, "sentences": sentences})
    return {"sections": sections, "removed": removed, "flags": flags}


def cut_labels(label_map: np.ndarray) -> set[str]:
    """Names of the organs whose mask reaches the first or last slice of a grid's array along any axis."""
    faces = [label_map[0], label_map[-1], label_map[:, 0], label_map[:, -1], label_map[:, :, 0], label_map[:, :, -1]]
    numbers = set(np.concatenate([np.unique(face) for face in faces]).tolist()) - {0}
    return {label.name for label in labels() if label.id in numbers}
