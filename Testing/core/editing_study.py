"""Studies for the tests of the editor: of a phantom's true masks in the pipeline's own form, and a small one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np

from uvlm_core.inference.assembling import Scan, assemble, measured
from uvlm_core.inference.composing import Draft
from uvlm_core.inference.field_of_view import field_of_view
from uvlm_core.inference.findings_table import finding_rows
from uvlm_core.inference.study import Study
from uvlm_core.labels import findings
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.document import parse_report

SHAPE = (64, 88, 88)
NOT_ASSESSED = ("Bronchiectasis",)


class Clock:
    """A clock that goes on when it is told to, and by one second at each look where `step` is 1."""

    def __init__(self, step: float = 0.0):
        self.now = datetime(2026, 1, 2, 10, 15, tzinfo=UTC)
        self.step = step

    def __call__(self) -> datetime:
        time = self.now
        self.now += timedelta(seconds=self.step)
        return time

    def wait(self, seconds: float = 60) -> None:
        self.now += timedelta(seconds=seconds)


@cache
def phantom_study(seed: int) -> Study:
    """The study of one phantom: what the pipeline makes of its masks, probabilities and text, without a model."""
    case = make_phantom(seed, SHAPE)
    volume = case.volume
    voxel_ml = float(np.prod(volume.spacing)) / 1000
    view = field_of_view(case.labels, voxel_ml, np.ones(case.labels.shape, bool))
    masks = measured(case.labels, volume, view)
    probabilities = {name: 0.93 if present else 0.04 for name, present in case.present.items()}
    assessed = [finding.name for finding in findings() if finding.name not in NOT_ASSESSED]
    rows = finding_rows(probabilities, dict.fromkeys(probabilities, 0.5), assessed, view, masks.segments)
    provenance = {"model": "truth", "model_version": "1", "bundle_sha256": "ab" * 32, "versions": {"numpy": "1"}}
    scan = Scan(volume, "cd" * 32, ["A phantom <made> by code."])
    return assemble(scan, masks, rows, Draft(parse_report(case.report(1))), provenance)


NODULE = "lung_nodule_1"
TEXT = ("Lungs: There is a 24 mm nodule in the left upper lobe. A 9 mm nodule in the right lower lobe. "
        "No consolidation.\n"
        "Heart and vessels: The heart is normal in size.\n"
        "Upper abdomen: There is a 3.1 x 2.2 cm lesion in the liver.\n"
        "Impression: Lung nodule in the left upper lobe. Liver lesion.")


def study(text: str | None = None, segments=(("lung_nodule", 1, "left", "left upper lobe", 24.3, 18.2),
                                             ("lung_nodule", 2, "right", "right lower lobe", 9.1, 7.0),
                                             ("liver_lesion", 1, None, None, 31.0, 22.0)),
          organs=("heart", "liver", "aorta"), **states: str) -> dict:
    """A small study.json with a text of one's own.

    Args:
        segments: label, number, side, place, longest diameter, short axis.
        states: finding with "_" for spaces -> state; others are present where a segment shows them, else absent.
    """
    from uvlm_core.inference.content import measurement_rows, report_content, segment_rows
    from uvlm_core.labels import finding_named, regions
    from uvlm_core.report.links import link_report
    from uvlm_core.report.segments import Segment, side_of

    box = ((0.0, 0.0, 0.0), (9.0, 9.0, 9.0))
    made = [Segment(name, name, 500.0, 40.0, (0.0, 0.0, 0.0), box) for name in organs]
    made += [Segment(f"{label}_{number}", label, round(long**3 / 2000, 3), 35.0, (1.0, 2.0, 3.0), box, side, place,
                     long, short) for label, number, side, place, long, short in segments]
    report = parse_report(text if text is not None else TEXT)
    link_report(report, made)
    rows = []
    for finding in findings():
        own = [segment for segment in made if segment.label == finding.label and segment.longest_diameter_mm]
        state = states.get(finding.name.replace(" ", "_"), "present" if own else "absent")
        rows.append({"name": finding.name, "region": finding.region, "probability": 0.93 if own else 0.04,
                     "threshold": 0.5, "present": {"present": True, "absent": False}.get(state), "state": state,
                     "coverage": "imaged", "side": side_of(own) if finding_named(finding.name).lateralised else None,
                     "segments": [segment.id for segment in own]})
    return {"schema": "uvlm-study/1",
            "scan": {"name": "a <scan> & more.nii.gz", "sha256": "cd" * 32, "modality": "CT", "shape": [10, 10, 10],
                     "spacing_mm": [1.0, 1.0, 1.0], "ijk_to_ras": np.eye(4).tolist(), "warnings": []},
            "regions": [{"name": name, "title": title, "coverage": "imaged"} for name, title in regions().items()],
            "organs": {}, "findings": rows, "segments": segment_rows(made, set()),
            "report": report_content(report, [], []),
            "measurements": [row for segment in made for row in measurement_rows(segment)],
            "provenance": {"model": "truth", "model_version": "1", "bundle_sha256": "ab" * 32}}


def measurement(segment: str, name: str, value: float) -> dict:
    """A row of `measurements`, as the worker's `measure` gives it."""
    from uvlm_core.inference.content import QUANTITIES

    unit, ucum, code = QUANTITIES[name]
    return {"id": f"{segment}.{name}", "segment": segment, "name": name, "value": value, "unit": unit, "ucum": ucum,
            "code": code}
