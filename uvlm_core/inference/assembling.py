"""Masks, probabilities and text become one study: measured, linked, checked."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from uvlm_core.inference.composing import Draft, add_flags, remove_repeated, tell_field_of_view
from uvlm_core.inference.content import cut_labels, report_content, study_content
from uvlm_core.inference.field_of_view import FieldOfView
from uvlm_core.inference.study import Study
from uvlm_core.labels import label_named
from uvlm_core.report.checks import check_report
from uvlm_core.report.grounding import ground_report
from uvlm_core.report.links import link_report
from uvlm_core.report.measurements import Box, label_boxes, measure_segments, seen_cardiothoracic_ratio
from uvlm_core.report.segments import Segment
from uvlm_core.volumes.volume import Volume

MOST_PARTS = 40


@dataclass(frozen=True)
class Scan:
    """What was read: the volume, sha256 of its bytes, and sentences that its reader should know."""

    volume: Volume
    sha256: str
    warnings: list[str]


@dataclass(frozen=True)
class Masks:
    """`labels` (Z, Y, X) uint8 on the scan's own grid, and what they measure and show; `unsure`: ids of segments that
    the model has drawn without being sure."""

    labels: np.ndarray
    segments: list[Segment]
    view: FieldOfView
    ratio: float | None
    unsure: frozenset[str] = frozenset()


def measured(labels: np.ndarray, volume: Volume, view: FieldOfView) -> Masks:
    """Measures a label map on the scan's own grid; of one label the MOST_PARTS largest parts are segments.

    A lesion's label of which nothing is large enough for a segment is taken out of `labels`, in place: what the map
    shows, the study lists.
    """
    kept: Counter = Counter()
    segments = []
    boxes = label_boxes(labels)
    for segment in measure_segments(labels, volume.array, volume.ijk_to_ras, boxes=boxes):  # a label's largest first
        kept[segment.label] += 1
        if kept[segment.label] <= MOST_PARTS:
            segments.append(segment)
    for name in set(boxes) - set(kept):
        _fill_specks(labels, label_named(name).id, boxes[name])
    return Masks(labels, segments, view, seen_cardiothoracic_ratio(labels, volume.ijk_to_ras))


def _fill_specks(label_map: np.ndarray, number: int, box: Box) -> None:
    """The voxels of a label take the most frequent other label around them, one after the other."""
    for index in np.argwhere(label_map[box] == number) + [side.start for side in box]:
        around = label_map[tuple(slice(max(0, at - 1), at + 2) for at in index)]
        label_map[tuple(index)] = np.bincount(around[around != number], minlength=1).argmax()


def assemble(scan: Scan, masks: Masks, rows: list[dict], draft: Draft, provenance: dict) -> Study:
    """Fills sizes and sides in from the masks, links, checks text against masks and probabilities: one study.

    Args:
        rows: of `findings_table.finding_rows`.
        provenance: what made the study, without times.
    """
    report, warnings = draft.report, list(scan.warnings)
    if not draft.ended:
        warnings.append("The report reached its greatest length and ends early.")
    ground_report(report, masks.segments, masks.unsure)
    draft = remove_repeated(draft)
    if report.sections:
        tell_field_of_view(report, masks.view)
    link_report(report, masks.segments)
    flags = add_flags(report, check_report(report, rows, masks.segments, masks.view.shown))
    content = study_content(scan.volume, scan.sha256, warnings, masks.view, rows, masks.segments,
                            cut_labels(masks.labels), masks.ratio, report_content(report, draft.removed, flags),
                            provenance)
    return Study(content, masks.labels, draft.attribution)
