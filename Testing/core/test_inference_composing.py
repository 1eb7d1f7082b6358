"""What the scan does not show is not spoken of, neither ill nor normal; and nothing is said twice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from uvlm_core.inference.composing import Attribution, Draft, remove_repeated, remove_unseen
from uvlm_core.inference.field_of_view import ABSENT, IMAGED, LEAST_ML, PARTLY, FieldOfView
from uvlm_core.labels import regions
from uvlm_core.report.document import parse_report

VIEW = FieldOfView(dict.fromkeys(LEAST_ML, IMAGED), dict.fromkeys(regions(), IMAGED))


def texts(report) -> list[str]:
    return [sentence.text for sentence in report.sentences]


def test_nothing_is_removed_of_a_scan_that_shows_all():
    report = parse_report("Heart and vessels: The aorta is normal in caliber. No pericardial effusion.\n"
                          "Impression: Normal examination.")
    assert remove_unseen(report, VIEW) == [] and len(texts(report)) == 3


def test_organs_that_are_not_imaged_are_not_called_normal_in_a_region_that_is():
    view = replace(VIEW, organs={**VIEW.organs, "aorta": ABSENT, "spleen": ABSENT, "kidney_left": ABSENT})
    report = parse_report("Heart and vessels: The aorta is normal in caliber. No pericardial effusion.\n"
                          "Upper abdomen: The spleen is normal in size. The liver and the spleen are normal. "
                          "Both kidneys are normal.")
    removed = remove_unseen(report, view)
    assert [row["text"] for row in removed] == ["The aorta is normal in caliber.", "The spleen is normal in size."]
    assert {row["reason"] for row in removed} == {"not imaged"}
    assert texts(report) == ["No pericardial effusion.", "The liver and the spleen are normal.",
                             "Both kidneys are normal."]


def test_findings_whose_place_is_not_imaged_are_neither_told_nor_denied():
    view = replace(VIEW, organs={**VIEW.organs, "stomach": ABSENT, "kidney_left": ABSENT, "kidney_right": ABSENT})
    report = parse_report("Mediastinum: No hiatal hernia. No mediastinal lymphadenopathy or hiatal hernia.\n"
                          "Upper abdomen: Both kidneys are normal.\nImpression: Kidney lesion.")
    remove_unseen(report, view)
    assert texts(report) == ["No mediastinal lymphadenopathy or hiatal hernia."]
    assert [section.name for section in report.sections] == ["mediastinum"]


def test_a_region_that_is_not_imaged_loses_its_section():
    view = replace(VIEW, regions={**VIEW.regions, "heart": ABSENT, "lungs": PARTLY})
    report = parse_report("Lungs: Lung parenchyma is unremarkable.\nHeart and vessels: Nothing special.")
    assert [row["section"] for row in remove_unseen(report, view)] == ["heart"]
    assert texts(report) == ["Lung parenchyma is unremarkable."]


def test_what_a_section_says_twice_is_said_once():
    report = parse_report("Lungs: There is a 9 mm nodule in the left upper lobe. There is a 7 mm nodule in the left "
                          "upper lobe. There is a 9 mm nodule in the  left upper lobe.\n"
                          "Impression: Lung nodules. Lung nodules.")
    ids = [sentence.id for sentence in report.sentences]
    maps = np.arange(5, dtype=np.float16).reshape(5, 1, 1, 1, 1)
    draft = remove_repeated(Draft(report, [], Attribution(maps, ids, [5], np.eye(4))))
    assert texts(draft.report) == ["There is a 9 mm nodule in the left upper lobe.",
                                   "There is a 7 mm nodule in the left upper lobe.", "Lung nodules."]
    assert {row["reason"] for row in draft.removed} == {"said before"} and len(draft.removed) == 2
    kept = [sentence.id for sentence in draft.report.sentences]
    assert draft.attribution.sentence_ids == kept and draft.attribution.maps.ravel().tolist() == [0, 1, 3]
    assert remove_repeated(Draft(report)).attribution is None
