"""Links and checks: what a click finds, and which contradictions are told."""

from __future__ import annotations

import pytest

from uvlm_core.report.checks import check_report
from uvlm_core.report.document import Report, parse_report
from uvlm_core.report.links import link_report
from uvlm_core.report.segments import Segment

BOX = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def lesion(name, number, side, place, size):
    return Segment(f"{name}_{number}", name, 2.0, 30.0, (0.0, 0.0, 0.0), BOX, side, place, size, size * 0.8)


def organ(name):
    return Segment(name, name, 500.0, 40.0, (0.0, 0.0, 0.0), BOX)


SEGMENTS = [organ("heart"), organ("liver"), lesion("lung_nodule", 1, "right", "right upper lobe", 22.0),
            lesion("lung_nodule", 2, "left", "left lower lobe", 9.0)]
ALL = ["lungs", "pleura", "heart", "mediastinum", "abdomen", "bones"]


def row(name, probability, state=None):
    present = probability >= 0.5
    return {"name": name, "probability": probability, "threshold": 0.5, "present": present,
            "state": state or ("present" if present else "absent")}


ROWS = [row("Lung nodule", 0.9), row("Pleural effusion", 0.1), row("Cardiomegaly", 0.2), row("Consolidation", 0.1)]


def flags_of(text, rows=ROWS, imaged=ALL, **options):
    return check_report(parse_report(text), rows, SEGMENTS, imaged, **options)


def test_sentences_link_to_the_lesion_they_mean():
    report = parse_report("Lungs: A 21 mm nodule in the right upper lobe. Another 9 mm nodule in the left lower lobe. "
                          "No consolidation.\nHeart and vessels: The heart is normal.\nImpression: Lung nodules.")
    link_report(report, SEGMENTS)
    assert [sentence.segments for sentence in report.sentences] == [
        ["lung_nodule_1"], ["lung_nodule_2"], [], ["heart"], ["lung_nodule_1", "lung_nodule_2"]]
    assert report.sentences[0].findings == ["Lung nodule"]
    assert Report.from_dict(report.to_dict()) == report


def test_a_consistent_report_has_no_flag():
    assert flags_of("Lungs: A 21 mm nodule in the right upper lobe.\nPleura: No pleural effusion.") == []


def test_wrong_side_is_flagged_and_repaired():
    segments = [SEGMENTS[2]]
    found = check_report(parse_report("Lungs: A 22 mm nodule in the left upper lobe."), ROWS, segments, ALL)
    assert [flag.kind for flag in found] == ["side"]
    assert found[0].suggestion == "A 22 mm nodule in the right upper lobe."


def test_wrong_size_is_flagged_with_both_numbers():
    found = flags_of("Lungs: A 40 mm nodule in the right upper lobe.")
    assert [flag.kind for flag in found] == ["size"]
    assert "40 mm" in found[0].message and "22 mm" in found[0].message
    assert found[0].suggestion == "A 22 mm nodule in the right upper lobe."


@pytest.mark.parametrize(("text", "kind"), [
    ("Lungs: A nodule in the right upper lobe. Consolidation in the left lower lobe.", "presence"),
    ("Lungs: No nodule.", "presence"),
    ("Pleura: No pleural effusion.", "missing"),
    ("Lungs: A 21 mm nodule in the right upper lobe, unchanged compared to the previous CT.", "prior"),
])
def test_presence_and_priors(text, kind):
    assert kind in [flag.kind for flag in flags_of(text)]


def test_a_given_prior_may_be_compared_with():
    text = "Lungs: A 21 mm nodule in the right upper lobe, compared to the previous CT unchanged."
    assert flags_of(text, has_prior=True) == []


def test_what_is_not_imaged_is_not_normal():
    text = "Lungs: A 21 mm nodule in the right upper lobe.\nUpper abdomen: The liver is normal."
    found = flags_of(text, [*ROWS, row("Liver lesion", 0.0, "not imaged")], ["lungs", "pleura", "heart"])
    assert {flag.kind for flag in found} == {"not_imaged"}


def test_contradictions_within_the_report():
    text = "Lungs: A 21 mm nodule in the right upper lobe.\nImpression: Nodule in the left upper lobe."
    assert "internal" in [flag.kind for flag in flags_of(text)]
    assert "internal" in [flag.kind for flag in flags_of("Lungs: Nodule.\nImpression: No nodule.")]


def test_a_mask_of_a_finding_that_is_called_absent_is_told():
    rows = [row("Pleural effusion", 0.4)]
    effusion = [lesion("pleural_effusion", 1, "right", None, 118.0)]
    for text, kind in (("Pleura: No pleural effusion.", "presence"), ("Pleura: No pneumothorax.", "missing")):
        found = check_report(parse_report(text), rows, effusion, ALL)
        assert [(flag.kind, flag.finding) for flag in found] == [(kind, "Pleural effusion")]
        assert f"{effusion[0].volume_ml:.1f} ml" in found[0].message and "0.40" in found[0].message
    assert check_report(parse_report("Pleura: No pneumothorax."), [{**rows[0], "by": "user"}], effusion, ALL) == []


def test_no_may_not_be_said_of_what_the_image_leaves_open():
    rows = [row("Pleural effusion", 0.52, "uncertain")]
    found = check_report(parse_report("Pleura: No pleural effusion."), rows, [], ALL)
    assert [(flag.kind, flag.expected) for flag in found] == [("presence", "uncertain")]
    assert check_report(parse_report("Pleura: Possible pleural effusion."), rows, [], ALL) == []


def test_a_normal_impression_of_a_scan_that_shows_little_is_flagged():
    text = "Bones: No destructive bone lesion.\nImpression: Normal examination."
    assert [flag.kind for flag in check_report(parse_report(text), [], [], ["bones", "lungs"])] == ["not_imaged"]
    assert check_report(parse_report(text), [], [], ALL) == []


def test_a_side_without_a_mask_of_the_finding_links_to_the_organs_of_that_side():
    report = parse_report("Lungs: There are emphysematous changes in the right lung.")
    link_report(report, [organ(name) for name in ("lung_upper_lobe_left", "lung_upper_lobe_right")])
    assert report.sentences[0].segments == ["lung_upper_lobe_right"]


NODULE = lesion("lung_nodule", 1, "left", "left upper lobe", 24.0)
EFFUSION = lesion("pleural_effusion", 1, "right", None, 118.0)
CYSTS = {side: lesion("kidney_lesion", 1, side, None, 12.0) for side in ("left", "right")}
SEEN = [row(name, 0.9) for name in ("Lung nodule", "Pleural effusion", "Kidney lesion")]


@pytest.mark.parametrize(("mask", "text"), [
    (EFFUSION, "Right pleural effusion. No left pleural effusion."),
    (EFFUSION, "Right pleural effusion. Left pleural effusion: none."),
    (CYSTS["right"], "There is a 12 mm cyst in the right kidney. The left kidney is normal."),
    (NODULE, "Nodule in the left upper lobe. No nodule in the right lung. No nodule in the left lower lobe."),
    (NODULE, "Nodule in the left upper lobe, none in the left lower lobe."),
    (EFFUSION, "Right effusion with mediastinal shift to the left.")])
def test_a_true_denial_of_another_side_or_lobe_is_no_contradiction(mask, text):
    rows = [entry for entry in SEEN if entry["name"].lower().replace(" ", "_") == mask.label]
    assert check_report(parse_report(text), rows, [mask], ALL) == []


@pytest.mark.parametrize(("mask", "text", "kind", "expected"), [
    (EFFUSION, "No right pleural effusion.", "presence", "present"),
    (EFFUSION, "No effusion; the left lung is clear.", "presence", "present"),
    (CYSTS["left"], "Both kidneys are normal.", "presence", "present"),
    (NODULE, "24 mm nodule in the RUL.", "side", "left"),
    (NODULE, "24 mm nodule in the right lung, no lesion in the left lung.", "side", "left"),
    (EFFUSION, "Left effusion, none on the right.", "side", "right"),
    (EFFUSION, "Left effusion with mediastinal shift to the right.", "side", "right"),
    (CYSTS["left"], "There is a cyst in the right kidney; the left kidney is normal.", "side", "left"),
    (EFFUSION, "Bilateral effusions.", "side", "right"), (NODULE, "Nodules in both lungs.", "side", "left"),
    (NODULE, "24 mm nodule in the left lower lobe.", "side", "left upper lobe"),
    (NODULE, "24 mm nodule in the LLL.", "side", "left upper lobe"),
    (NODULE, "No consolidation, 40 mm nodule in the left upper lobe.", "size", "24 mm")])
def test_sides_and_lobes_that_no_mask_has(mask, text, kind, expected):
    rows = [entry for entry in SEEN if entry["name"].lower().replace(" ", "_") == mask.label]
    found = check_report(parse_report(text), rows, [mask], ALL)
    assert [(flag.kind, flag.expected) for flag in found] == [(kind, expected)]
    if kind == "side":
        assert found[0].suggestion is None
