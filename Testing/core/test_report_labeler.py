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
