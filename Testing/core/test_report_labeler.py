"""The labeler on sentences as radiologists write them, and on reports of phantoms with known truth."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from uvlm_core.report.document import parse_report, split_sentences
from uvlm_core.report.labeler import label_report, label_sentence

SENTENCES = Path(__file__).resolve().parents[1] / "data" / "labeler_sentences.tsv"


def rows():
    with SENTENCES.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


@pytest.mark.parametrize("row", rows(), ids=lambda row: f"{row['finding']}: {row['sentence'][:40]}")
def test_sentences_in_the_style_of_real_reports(row):
    mentions = label_sentence(row["sentence"])
    if row["finding"] == "-":
        assert [mention for mention in mentions if mention.state == "present"] == []
        return
    own = [mention for mention in mentions if mention.finding == row["finding"]]
    if row["state"] == "-":
        assert [mention for mention in own if mention.state == "present"] == []
        return
    assert own, f"not mentioned; found {mentions}"
    assert own[0].state == row["state"]
    assert row["side"] == "-" or own[0].side == row["side"]
    assert row["size_mm"] == "-" or own[0].size_mm == float(row["size_mm"])


def test_sentences_end_where_they_end():
    text = "Findings: A nodule of 3.5 mm, approx. 4 mm on axial. 1. No effusion! Is it new?\nImpression: Nodule."
    assert [text[a:b] for a, b in split_sentences(text)] == [
        "A nodule of 3.5 mm, approx. 4 mm on axial.", "1. No effusion!", "Is it new?", "Nodule."]


@pytest.mark.parametrize("text", [
    "Findings: Heart size is normal. Right pleural effusion. Liver is normal. Impressions: Effusion.",
    "Heart size is normal. Right pleural effusion. Liver is normal.\nImpression: Effusion.",
    "Pleura: Right pleural effusion.\nHeart and vessels: Heart size is normal.\nUpper abdomen: Liver is normal.\n"
    "Impression: Effusion.",
])
def test_the_three_usual_forms_give_the_same_sections(text):
    report = parse_report(text)
    assert {section.name for section in report.sections} == {"pleura", "heart", "abdomen", "impression"}
    for sentence in report.sentences:
        assert text[sentence.span[0]:sentence.span[1]] == sentence.text


def test_a_report_is_positive_where_any_sentence_is():
    labels = label_report("Lungs: No nodule in the right lung. 8 mm nodule in the left lung.\nPleura: No effusion.")
    assert labels["Lung nodule"] == 1 and labels["Pleural effusion"] == 0 and len(labels) == 21
    assert label_report("Possible consolidation.", uncertain=0)["Consolidation"] == 0


def states(text):
    return {mention.finding: mention.state for mention in label_sentence(text)}


@pytest.mark.parametrize("text", [
    "Pleural effusion: none.", "Pleural effusion: No.", "Pleural effusion: absent.", "Pleural effusion: negative.",
    "Pleural effusion - none.", "Pleural effusion? No.", "Pleural effusion: none, consolidation: present.",
    "Pleural effusion: none on the left.", "Pleural effusion absent.", "The effusion is no longer visible.",
    "The effusion is not visible.", "The effusion cannot be seen.", "Effusion is not appreciated.",
    "The effusion has cleared.", "The pleural effusion is unlikely.", "History of pleural effusion."])
def test_what_is_said_to_be_absent_is_absent(text):
    assert states(text)["Pleural effusion"] == "absent"


@pytest.mark.parametrize("text", [
    "Cannot exclude a small left pleural effusion.", "Can not exclude a small left pleural effusion.",
    "We cannot rule out a pleural effusion.", "This does not exclude a pleural effusion.",
    "A pleural effusion can not be excluded.", "Pleural effusion?"])
def test_what_cannot_be_excluded_is_uncertain(text):
    assert states(text) == {"Pleural effusion": "uncertain"}


@pytest.mark.parametrize("text", [
    "Pleural effusion: small.", "Pleural effusion: no change.", "Pleural effusion: none, consolidation: present.",
    "The effusion has partially resolved.", "Consolidation: no significant change.", "Pleural effusion: small, "
    "consolidation: none.", "History of consolidation, now with pleural effusion.",
    "Nodule for which malignancy is unlikely."])
def test_words_of_absence_reach_no_further_than_their_finding(text):
    assert "present" in states(text).values()


@pytest.mark.parametrize("text", [
    "No consolidation, 24 mm nodule in the left lower lobe.", "No consolidation and 24 mm nodule in the left lung.",
    "No nodule in the right lung, 24 mm nodule in the left lung.",
    "On this study performed without contrast there is a 24 mm nodule in the left upper lobe.",
    "Patient without known malignancy has a 24 mm nodule in the left upper lobe."])
def test_a_negation_ends_where_something_else_is_said(text):
    nodule = [mention for mention in label_sentence(text) if mention.finding == "Lung nodule"][-1]
    assert (nodule.state, nodule.side, nodule.size_mm) == ("present", "left", 24)
    assert states(text).get("Consolidation", "absent") == "absent"


@pytest.mark.parametrize("text", [
    "No mass or 24 mm nodule.", "No nodule of 4 and 8 mm size.", "Neither lung has a nodule.",
    "No evidence that there is a nodule.", "The CT does not show a 24 mm nodule.",
    "Without contrast there is no nodule.", "The 4 mm and 8 mm nodules are no longer visible.",
    "No 4 mm and 8 mm nodules."])
def test_a_negation_reaches_what_it_denies(text):
    assert states(text) == {"Lung nodule": "absent"}


@pytest.mark.parametrize(("text", "found"), [
    ("The liver is enlarged, the spleen is normal.", {}), ("The liver is enlarged, spleen normal.", {}),
    ("Liver enlarged, spleen normal.", {}), ("The heart is not normal in size.", {}),
    ("The kidneys are not normal.", {}),
    ("Lesion in the liver, kidneys are normal.", {"Liver lesion": "present", "Kidney lesion": "absent"}),
    ("The liver, spleen and kidneys are normal.", {"Liver lesion": "absent", "Kidney lesion": "absent"}),
    ("Liver parenchyma density is normal.", {"Liver lesion": "absent"}),
    ("Liver: normal.", {"Liver lesion": "absent"}), ("The heart is normal.", {"Cardiomegaly": "absent"}),
    ("The liver, which is normal in size, contains a cyst.", {"Liver lesion": "present"})])
def test_an_organ_is_normal_where_that_is_said_of_it(text, found):
    assert states(text) == found


@pytest.mark.parametrize(("text", "side"), [
    ("24 mm nodule in the RUL.", "right"), ("LLL nodule.", "left"), ("Nodule in the RML.", "right"),
    ("24 mm nodule in the right lung, no lesion in the left lung.", "right"),
    ("Left effusion, none on the right.", "left"), ("Left effusion, no right effusion.", "left"),
    ("Left effusion with mediastinal shift to the right.", "left"),
    ("Nodule in the left upper lobe without right lung involvement.", "left"),
    ("Cyst in the right kidney; the left kidney is normal.", "right"),
    ("Right kidney normal, left kidney with a 12 mm cyst.", "left"), ("The left kidney is normal.", "left"),
    ("Both kidneys are normal.", "bilateral"), ("The kidneys are normal.", None),
    ("No effusion on the left.", "left"), ("Effusion: none on the left.", "left"),
    ("No effusion, left lower lobe nodule of 8 mm.", None), ("No effusion on the right but on the left.", "right"),
    ("No effusion; the left lung is clear.", None), ("No change of the nodule in the left lung.", "left"),
    ("Effusion, right greater than left.", "bilateral")])
def test_sides_of_what_is_denied_are_not_those_of_what_is_stated(text, side):
    assert label_sentence(text)[0].side == side
