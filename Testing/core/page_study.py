"""A hand-made study for the page tests: a body with two lungs, a liver, and one nodule in the patient's left lung."""

from __future__ import annotations

import numpy as np

from uvlm_core.labels import finding_named, findings, label_named, regions

SHAPE = (60, 90, 110)
SPACING = 3.0
NODULE = (42, 40, 78)  # z, y, x of its centre in LPS order: x beyond the middle is patient left
RADIUS = 4
LIVER = (slice(4, 22), slice(25, 60), slice(22, 60))


def lps_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """HU, labels and 4x4 with z to superior, y to posterior, x to patient left."""
    z, y, x = np.indices(SHAPE)
    hu = np.full(SHAPE, -1000, np.int16)
    labels = np.zeros(SHAPE, np.uint8)
    hu[((y - 45) / 34) ** 2 + ((x - 55) / 45) ** 2 < 1] = 40
    for name, middle in (("lung_upper_lobe_right", 32), ("lung_upper_lobe_left", 78)):
        lung = (((y - 45) / 24) ** 2 + ((x - middle) / 17) ** 2 < 1) & (z > 25)
        hu[lung], labels[lung] = -850, label_named(name).id
    hu[LIVER], labels[LIVER] = 60, label_named("liver").id
    nodule = (z - NODULE[0]) ** 2 + (y - NODULE[1]) ** 2 + (x - NODULE[2]) ** 2 <= RADIUS**2
    hu[nodule], labels[nodule] = 35, label_named("lung_nodule").id
    matrix = np.diag([-SPACING, -SPACING, SPACING, 1.0])
    matrix[:3, 3] = [55 * SPACING, 45 * SPACING, -400]
    return hu, labels, matrix


def ras(z: float, y: float, x: float) -> list[float]:
    """RAS mm of an index of `lps_arrays`."""
    return [float(value) for value in (lps_arrays()[2] @ [x, y, z, 1])[:3]]


def segment(name: str, low, high, centre, **more) -> dict:
    """A segment of study.json from first and last index (z, y, x)."""
    label = label_named(name)
    corners = np.array([ras(*(np.array(low) - 0.5)), ras(*(np.array(high) + 0.5))])
    return {"id": name, "name": name, "title": label.title, "label": label.id, "kind": label.kind,
            "region": label.region, "side": label.side, "place": None, "volume_ml": 10.0,
            "bbox_ras_mm": [corners.min(0).tolist(), corners.max(0).tolist()], "centroid_ras_mm": ras(*centre),
            "color": list(label.color), "codes": label.codes, "cut_by_border": False} | more


def sentence(number: int, text: str, names=(), segments=(), flags=()) -> dict:
    return {"id": f"s{number}", "text": text, "findings": list(names), "mentions": [], "segments": list(segments),
            "attribution_peak_ras_mm": ras(10, 45, 40), "token_log_probability": -0.1, "flags": list(flags)}


def make_study() -> dict:
    """What study.json would hold."""
    nodule = segment("lung_nodule", np.array(NODULE) - RADIUS, np.array(NODULE) + RADIUS, NODULE, side="left",
                     place="left upper lobe", id="lung_nodule-1")
    liver = segment("liver", (4, 25, 22), (21, 59, 59), (13, 42, 41))
    flag = {"kind": "prior", "message": "There is no <prior> examination & none was read.", "sentence": "s4",
            "finding": None, "expected": None, "found": "unchanged", "suggestion": ""}
    rows = []
    for finding in findings():
        state = {"Lung nodule": "present", "Kidney lesion": "not imaged", "Bronchiectasis": "not assessed",
                 "Liver lesion": "uncertain"}.get(finding.name, "absent")
        probability = {"present": 0.93, "uncertain": 0.5}.get(state, 0.1)
        rows.append({"name": finding.name, "region": finding_named(finding.name).region, "probability": probability,
                     "threshold": 0.5, "present": state == "present", "state": state, "side": None,
                     "segments": ["lung_nodule-1"] if state == "present" else []})
    report = [("lungs", "Lungs", [sentence(1, "A 24 mm nodule in the left upper lobe.", ["Lung nodule"],
                                           ["lung_nodule-1"]), sentence(2, "No consolidation.", ["Consolidation"])]),
              ("abdomen", "Upper abdomen", [sentence(3, "The liver is unremarkable.", ["Liver lesion"], ["liver"])]),
              ("impression", "Impression", [sentence(4, "Nodule <b>unchanged</b>.", ["Lung nodule"], [], [flag])])]
    hu, _, matrix = lps_arrays()
    return {"schema": "uvlm-study/1",
            "scan": {"name": "a <scan> & more.nii.gz", "sha256": "ab" * 32, "shape": list(hu.shape),
                     "spacing_mm": [SPACING] * 3, "ijk_to_ras": matrix.tolist(), "warnings": []},
            "regions": [{"name": name, "title": title, "coverage": "imaged"} for name, title in regions().items()],
            "findings": rows, "segments": [nodule, liver],
            "measurements": [{"id": "m1", "segment": "lung_nodule-1", "name": "longest_diameter", "value": 24.3,
                              "unit": "mm"}],
            "report": {"sections": [{"name": name, "title": title, "sentences": sentences}
                                    for name, title, sentences in report], "flags": []},
            "provenance": {"device": "cpu", "versions": {"torch": "2"}, "thresholds": {}}}
