"""The labels of the masks and the names of the findings: read once from `Resources/Labels`, used everywhere."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache

from uvlm_core.resources import resource

IGNORE = 255  # voxels whose label is not known: left out of every loss and metric
REST = 254  # voxels that are known to be none of the labels that their case annotates


@dataclass(frozen=True)
class Label:
    """One value of the label map.

    `kind` is "organ" or "lesion"; `side` is "left", "right" or None; `color` is RGB 0..255;
    `codes` maps category / type / modifier to [scheme, value, meaning] (DICOM PS3.16, SNOMED CT).
    """

    id: int
    name: str
    title: str
    kind: str
    region: str
    side: str | None
    color: tuple[int, int, int]
    codes: dict = field(hash=False)
    single_component: bool


@dataclass(frozen=True)
class Finding:
    """One finding name of CT-RATE or AbdomenAtlas; `label` is the mask that shows it, None if no mask does."""

    name: str
    source: str
    label: str | None
    region: str
    lateralised: bool
    measure: str | None


@cache
def labels() -> tuple[Label, ...]:
    """All labels in the order of their ids, which run from 1 without a gap (0 is background)."""
    rows = json.loads(resource("Labels", "labels.json").read_text("utf-8"))["labels"]
    return tuple(Label(**{**row, "color": tuple(row["color"])}) for row in rows)


@cache
def label_named(name: str) -> Label:
    """The label of that name. Raises KeyError for an unknown one."""
    return {label.name: label for label in labels()}[name]


@cache
def findings() -> tuple[Finding, ...]:
    """The 18 CT-RATE findings in CT-RATE's order, then AbdomenAtlas' three."""
    rows = json.loads(resource("Labels", "findings.json").read_text("utf-8"))["findings"]
    return tuple(Finding(**row) for row in rows)


@cache
def finding_named(name: str) -> Finding:
    """The finding of that name. Raises KeyError for an unknown one."""
    return {finding.name: finding for finding in findings()}[name]


@cache
def regions() -> dict[str, str]:
    """Report regions in reading order: key -> title."""
    rows = json.loads(resource("Labels", "findings.json").read_text("utf-8"))["regions"]
    return {row["name"]: row["title"] for row in rows}
