"""What a synthetic case is: a scan, its label map, and the facts that its report must tell."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from uvlm_core.labels import finding_named, findings, label_named
from uvlm_core.report.measurements import cardiothoracic_ratio, measure_segments
from uvlm_core.report.segments import without_fragments
from uvlm_core.volumes.volume import Volume

CARDIOMEGALY_RATIO = 0.5


@dataclass
class PlantedFinding:
    """One lesion (or an enlarged heart) as its mask measures: `size_mm` is the longest diameter, `centre_ras` mm.

    `extra` holds what no mask tells, for example the kind of medical material.
    """

    name: str
    label: str
    side: str | None
    place: str | None
    size_mm: float | None
    volume_ml: float
    centre_ras: tuple[float, float, float]
    extra: dict = field(default_factory=dict)


@dataclass
class PhantomCase:
    """`volume` in HU, `labels` (Z, Y, X) uint8, `findings` from the largest on, `imaged` region names."""

    volume: Volume
    labels: np.ndarray
    findings: list[PlantedFinding]
    imaged: set[str]
    seed: int

    @property
    def present(self) -> dict[str, int]:
        """0 / 1 for all 21 finding names."""
        names = {planted.name for planted in self.findings}
        return {finding.name: int(finding.name in names) for finding in findings()}

    def report(self, wording_seed: int | None = None) -> str:
        """A report of the facts; another `wording_seed` gives other words for them."""
        from uvlm_core.phantom.report_text import write_report

        seed = self.seed if wording_seed is None else wording_seed
        return write_report(self.findings, self.imaged, np.random.default_rng((7, seed)))


def planted_findings(labels: np.ndarray, hu: np.ndarray, ijk_to_ras: np.ndarray, extras: dict[str, dict] | None = None,
                     enlarged_heart: bool | None = None) -> list[PlantedFinding]:
    """The facts of a label map, measured by the same code that measures a model's masks.

    Args:
        labels, hu: (Z, Y, X).
        extras: finding name -> `extra`.
        enlarged_heart: whether there is cardiomegaly; None decides by the cardiothoracic ratio.
    """
    by_label = {finding.label: finding.name for finding in findings() if finding.label and finding.label != "heart"}
    rows = []
    for segment in without_fragments(measure_segments(labels, hu, ijk_to_ras, kind="lesion")):
        name = by_label[segment.label]
        side = segment.side if finding_named(name).lateralised else None
        rows.append(PlantedFinding(name, segment.label, side, segment.place, segment.longest_diameter_mm,
                                   segment.volume_ml, segment.centroid, dict((extras or {}).get(name, {}))))
    ratio = cardiothoracic_ratio(labels, ijk_to_ras)
    if enlarged_heart is None:
        enlarged_heart = ratio is not None and ratio > CARDIOMEGALY_RATIO
    if enlarged_heart:
        index = np.argwhere(labels == label_named("heart").id)
        centre = ijk_to_ras @ [*index.mean(0)[::-1], 1.0]
        volume = len(index) * abs(np.linalg.det(ijk_to_ras[:3, :3])) / 1000
        rows.append(PlantedFinding("Cardiomegaly", "heart", None, None, None, volume, tuple(map(float, centre[:3])),
                                   {"ratio": ratio}))
    return rows


def imaged_regions(labels: np.ndarray, voxel_ml: float) -> set[str]:
    """Names of the report regions that a label map shows."""
    from uvlm_core.inference.field_of_view import field_of_view

    return set(field_of_view(labels, voxel_ml, np.ones(labels.shape, bool)).shown)
