"""Coded words of our labels and measurements, for DICOM objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom.sr import CodedConcept

# schemes as labels.json and study.json name them; what no scheme has is our own
PRIVATE = "99UVLM"
_OWN_CODES = {"cardiothoracic_ratio": "CTR"}  # at most 16 letters: few programs read the attribute of longer ones
SIDES = {"left": ("7771000", "SCT", "Left"), "right": ("24028007", "SCT", "Right"),
         "bilateral": ("51440002", "SCT", "Right and left")}
UNITS = {"mm": "millimeter", "ml": "milliliter", "[hnsf'U]": "Hounsfield unit", "1": "no units"}
_LUNG, _CHEST = ("SCT", "39607008", "Lung"), ("SCT", "816094009", "Chest")
# label of a lesion -> where it is; organs are their own place
_SITES = {"lung_nodule": _LUNG, "consolidation": _LUNG, "lung_opacity": _LUNG, "atelectasis": _LUNG, "emphysema": _LUNG,
          "pleural_effusion": ("SCT", "3120008", "Pleura"), "pericardial_effusion": ("SCT", "76848001", "Pericardium"),
          "arterial_calcification": ("SCT", "15825003", "Aorta"),
          "coronary_calcification": ("SCT", "41801008", "Coronary artery"),
          "hiatal_hernia": ("SCT", "5798000", "Diaphragm"), "lymphadenopathy": ("SCT", "59441001", "Lymph node"),
          "medical_material": _CHEST, "liver_lesion": ("SCT", "10200004", "Liver"),
          "kidney_lesion": ("SCT", "64033007", "Kidney"), "pancreas_lesion": ("SCT", "15776009", "Pancreas")}


def concept(code: Sequence[str]) -> CodedConcept:
    """A concept of [scheme, value, meaning]."""
    return CodedConcept(code[1], code[0], code[2])


def side_concept(side: str | None) -> CodedConcept | None:
    """Laterality; None without a side."""
    return None if side is None else CodedConcept(*SIDES[side])


def site_concept(row: Mapping) -> CodedConcept:
    """The anatomic site of a segment of study.json."""
    return concept(row["codes"]["type"] if row["kind"] == "organ" else _SITES.get(row["name"], _CHEST))


def quantity_concept(row: Mapping) -> CodedConcept:
    """What a measurement of study.json measures; without a code, one of our own."""
    if row["code"]:
        return concept(row["code"])
    return CodedConcept(_OWN_CODES[row["name"]], PRIVATE, row["name"].replace("_", " ").capitalize())


def unit_concept(ucum: str) -> CodedConcept:
    """A unit of UCUM."""
    return CodedConcept(ucum, "UCUM", UNITS.get(ucum, ucum))
