"""A case of a table on the model's grid: image, label map, and the facts that training needs."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np

from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.masks import Target, read_target
from uvlm_core.datasets.scan import read_scan
from uvlm_core.datasets.table import Case, CaseTable
from uvlm_core.errors import CaseError
from uvlm_core.labels import finding_named, findings, label_named, regions
from uvlm_core.report.document import split_sentences
from uvlm_core.report.labeler import Mention, label_sentence
from uvlm_core.volumes.grid import GridSpec, labels_to_grid, to_grid

LOWEST, HIGHEST = -1024, 3071  # HU that are stored
MEASURED = ("heart",)  # a label of which not the presence but a measure decides: an enlarged heart


def grid_case(table: CaseTable, case: Case, mapping: Mapping, spec: GridSpec, same_voxels: bool = False):
    """image (Z, Y, X) int16 HU, target (Z, Y, X) uint8, ijk_to_ras 4x4, facts as a plain dict.

    The facts: `planted` (findings with side, place and size, from masks or else from the text), `imaged` regions,
    `present` (finding -> 0, 1 or NaN), `known` labels, `report` (whether there is a text), `text`, `masks`, `notes`.

    Raises:
        CaseError, VolumeError: a file is missing, damaged, no CT, or its masks do not belong to it.
    """
    from uvlm_core.volumes.ct_check import check_ct

    volume = read_scan(table, case)
    check = check_ct(volume)
    if not check.is_ct:
        raise CaseError(check.message)
    target = read_target(table, case, volume, mapping, same_voxels)
    sample = to_grid(volume, spec)
    image = np.clip(np.rint(sample.hu), LOWEST, HIGHEST).astype(np.int16)
    grid = labels_to_grid(target.map, volume, sample) if case.has_masks else np.full(image.shape, 255, np.uint8)
    facts = case_facts(case, target, grid, image, sample.ijk_to_ras)
    facts["notes"] = [*volume.meta.get("notes", []), *check.warnings]
    return image, grid, sample.ijk_to_ras, facts


def case_facts(case: Case, target: Target, grid: np.ndarray, image: np.ndarray, ijk_to_ras: np.ndarray) -> dict:
    """What is known of a case beside its arrays; `grid` and `image` are (Z, Y, X) on the model's grid."""
    from uvlm_core.phantom.case import planted_findings

    present = present_findings(case, target, grid)
    rows = [asdict(row) for row in planted_findings(grid, image, ijk_to_ras, enlarged_heart=False)]
    rows = [row for row in rows if present[row["name"]] != 0]
    shown = {row["name"] for row in rows}
    rows += [row for row in stated_findings(case.report) if row["name"] not in shown and present[row["name"]] != 0]
    shown = {row["name"] for row in rows}
    rows += [_bare(name) for name, value in present.items() if value == 1 and name not in shown]
    return {"planted": [{**row, "centre_ras": list(map(float, row["centre_ras"]))} for row in rows],
            "imaged": imaged(case, target, grid), "present": present, "known": target.known,
            "report": bool(case.report), "text": case.report or None, "masks": case.has_masks}


def present_findings(case: Case, target: Target, grid: np.ndarray) -> dict[str, float]:
    """Finding -> 0 / 1 / NaN: the table's value, else what a completely annotated mask shows."""
    out = {}
    for finding in findings():
        value = case.findings.get(finding.name, math.nan)
        if math.isnan(value) and finding.label in target.known and finding.label not in MEASURED:
            value = float((grid == label_named(finding.label).id).any())
        out[finding.name] = float(value)
    return out


def stated_findings(report: str) -> list[dict]:
    """Findings that a text says are present, as planted ones without a place in the scan: first mention of each."""
    rows: dict[tuple[str, str | None], dict] = {}
    for begin, end in split_sentences(report):
        for mention in label_sentence(report[begin:end]):
            if mention.state == "present":
                rows.setdefault((mention.finding, mention.side), _stated(mention))
    return list(rows.values())


def _stated(mention: Mention) -> dict:
    return {**_bare(mention.finding), "side": mention.side, "place": mention.place, "size_mm": mention.size_mm}


def _bare(name: str) -> dict:
    return {"name": name, "label": finding_named(name).label or "", "side": None, "place": None, "size_mm": None,
            "volume_ml": 0.0, "centre_ras": (0.0, 0.0, 0.0), "extra": {}}


def imaged(case: Case, target: Target, grid: np.ndarray) -> list[str]:
    """Regions in the field of view: from organs where they are annotated, else those that report and findings name."""
    from uvlm_core.report.document import parse_report

    seen = {label_named(name).region for name in target.known if (grid == label_named(name).id).any()}
    seen |= {section.name for section in parse_report(case.report).sections}
    seen |= {finding_named(name).region for name in case.findings}
    return [name for name in regions() if name in seen]
