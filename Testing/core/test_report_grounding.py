"""Sizes, lobes and sides in a generated sentence come from the mask; what the decoder wrote is kept."""

from __future__ import annotations

import pytest

from uvlm_core.report.document import Report, Section, Sentence
from uvlm_core.report.grounding import ground_report, ground_sentence
from uvlm_core.report.segments import Segment

BOX = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def lesion(label, number, side, place, size):
    return Segment(f"{label}_{number}", label, size, 30.0, (0.0, 0.0, 0.0), BOX, side, place, size, size * 0.75)


NODULE = lesion("lung_nodule", 1, "right", "right upper lobe", 22.4)
SMALL = lesion("lung_nodule", 2, "left", "left lower lobe", 9.0)
KIDNEY = lesion("kidney_lesion", 1, "right", None, 31.0)
LEFT_FLUID = lesion("pleural_effusion", 1, "left", None, 120.0)
RIGHT_FLUID = lesion("pleural_effusion", 2, "right", None, 110.0)
NODE = lesion("lymphadenopathy", 1, None, None, 17.6)



def test_a_mask_that_the_model_is_not_sure_of_gives_side_and_lobe_but_no_size():
    report = Report([Section("lungs", "Lungs", [Sentence("s1", "There is a 9 mm nodule in the left lower lobe.")])])
    ground_report(report, [NODULE], {NODULE.id})
    sentence, = report.sentences
    assert sentence.text == "There is a nodule in the right upper lobe."
    assert {row["quantity"]: row["segment"] for row in sentence.grounded} == {"longest_diameter": None,
                                                                             "place": NODULE.id}


CASES = (
    # text, masks, the text afterwards
    ("There is a 9 mm nodule in the left lower lobe.", [NODULE], "There is a 22 mm nodule in the right upper lobe."),
    ("A nodule measuring 4.1 cm in the right upper lobe.", [NODULE],
     "A nodule measuring 2.2 cm in the right upper lobe."),
    ("A nodule of 12 x 9 mm in the right upper lobe.", [NODULE], "A nodule of 22 x 17 mm in the right upper lobe."),
    ("Several nodules are seen in the left lung, the largest measuring 9 mm in the left lower lobe.", [NODULE, SMALL],
     "Several nodules are seen in both lungs, the largest measuring 22 mm in the right upper lobe."),
    ("There are multiple nodules in both lungs, the largest of 28 mm in the left lower lobe.", [NODULE],
     "There are multiple nodules in the right lung, the largest of 22 mm in the right upper lobe."),
    ("A lesion measuring 20 mm is seen in the left kidney.", [KIDNEY],
     "A lesion measuring 31 mm is seen in the right kidney."),
    ("Right pleural effusion.", [LEFT_FLUID], "Left pleural effusion."),
    ("Right pleural effusion.", [LEFT_FLUID, RIGHT_FLUID], "Bilateral pleural effusion."),
    ("There is a small bilateral pleural effusion.", [RIGHT_FLUID], "There is a small right pleural effusion."),
    ("Mediastinal lymphadenopathy, the largest node measuring 31 mm.", [NODE],
     "Mediastinal lymphadenopathy, the largest node measuring 18 mm."),
    ("An enlarged lymph node of 31 mm is seen in the mediastinum.", [NODE],
     "An enlarged lymph node of 18 mm is seen in the mediastinum."),
    # one size of several, or one of something else, is not the lesion's
    ("The nodule in the right upper lobe, 12 mm from the fissure, is solid.", [NODULE],
     "The nodule in the right upper lobe, 12 mm from the fissure, is solid."),
    ("The nodule in the right upper lobe, 12 mm from the fissure, measures 24 mm.", [NODULE],
     "The nodule in the right upper lobe, 12 mm from the fissure, measures 24 mm."),
    ("No nodes larger than 10 mm, but there is a 24 mm nodule in the right upper lobe.", [NODULE],
     "No nodes larger than 10 mm, but there is a 24 mm nodule in the right upper lobe."),
    ("A nodule in the right upper lobe, previously 12 mm.", [NODULE],
     "A nodule in the right upper lobe, previously 12 mm."),
    ("Enlarged lymph node measuring 20 mm in short axis.", [NODE],
     "Enlarged lymph node measuring 13 mm in short axis."),
    # the lobe and the side of something else
    ("A 9 mm nodule in the right upper lobe, no consolidation in the left lower lobe.", [NODULE],
     "A 22 mm nodule in the right upper lobe, no consolidation in the left lower lobe."),
    ("There is a 22 mm nodule in the right upper lobe; the left lung is clear.", [NODULE],
     "There is a 22 mm nodule in the right upper lobe; the left lung is clear."),
    ("There is a 31 mm cyst in the right kidney and the left kidney is normal.", [KIDNEY],
     "There is a 31 mm cyst in the right kidney and the left kidney is normal."),
    ("There is a nodule in the left lung; the left kidney is normal.", [NODULE],
     "There is a nodule in the right lung; the left kidney is normal."),
    ("Small left pleural effusion, none on the right.", [LEFT_FLUID],
     "Small left pleural effusion, none on the right."),
    ("Left pleural effusion with mediastinal shift to the right.", [LEFT_FLUID],
     "Left pleural effusion with mediastinal shift to the right."),
    ("No right pleural effusion, but there is a left pleural effusion.", [LEFT_FLUID],
     "No right pleural effusion, but there is a left pleural effusion."),
    # two nodules
    ("There is a 24 mm nodule in the right upper lobe and a 9 mm nodule in the left lower lobe.", [NODULE, SMALL],
     "There is a 24 mm nodule in the right upper lobe and a 9 mm nodule in the left lower lobe."),
    ("A 9 mm nodule in the left lower lobe and a nodule in the right lung.", [NODULE, SMALL],
     "A 9 mm nodule in the left lower lobe and a nodule in the right lung."),
    ("A 24 mm nodule in the left upper lobe and a 9 mm nodule in the right lung.", [],
     "A nodule in the left upper lobe and a nodule in the right lung."),
    # no mask measured it
    ("There is a 9 mm nodule in the left lower lobe.", [NODE], "There is a nodule in the left lower lobe."),
    ("An 8 mm nodule in the left lower lobe.", [], "A nodule in the left lower lobe."),
    ("A pancreatic lesion measuring 30 mm is seen.", [], "A pancreatic lesion is seen."),
    ("Lesion of 30 mm in the left kidney.", [], "Lesion in the left kidney."),
    ("Hiatal hernia with a diameter of 5.1 cm.", [], "Hiatal hernia."),
    ("Mediastinal lymphadenopathy, the largest node measuring 20 mm.", [], "Mediastinal lymphadenopathy."),
    ("There are multiple nodules in both lungs, the largest of 28 mm in the left lower lobe.", [],
     "There are multiple nodules in both lungs, the largest in the left lower lobe."),
    # nothing to fill in
    ("No nodule of more than 4 mm in the left lung.", [NODULE], "No nodule of more than 4 mm in the left lung."),
    ("The left ventricle is normal.", [NODULE], "The left ventricle is normal."),
    ("A 22 mm nodule in the right upper lobe.", [NODULE], "A 22 mm nodule in the right upper lobe."),
    ("A 9 mm nodule and an effusion on the left.", [NODULE], "A 9 mm nodule and an effusion on the left."),
)


@pytest.mark.parametrize(("text", "masks", "expected"), CASES)
def test_fields_are_filled_in_from_the_masks(text, masks, expected):
    sentence = Sentence("s1", text)
    ground_sentence(sentence, masks)
    assert sentence.text == expected
    assert bool(sentence.grounded) == (text != expected)
    restored = sentence.text
    for field in reversed(sentence.grounded):
        assert sentence.text[field["start"] : field["end"]] == field["written"]
        restored = restored[: field["start"]] + field["generated"] + restored[field["end"] :]
    assert restored == text, "what the decoder wrote can be told from the fields"


def test_two_sentences_speak_of_two_lesions():
    texts = ("A 12 mm nodule in the left lower lobe.", "There is a 30 mm nodule in the right lower lobe.",
             "A nodule in the left lung.")
    report = Report([Section("lungs", "Lungs", [Sentence(f"s{n}", text) for n, text in enumerate(texts)])])
    ground_report(report, [NODULE, SMALL])
    assert [sentence.text for sentence in report.sentences] == [
        "A 9 mm nodule in the left lower lobe.", "There is a 22 mm nodule in the right upper lobe.",
        "A nodule in the left lung."], "no lesion is left for the third"


def test_the_report_keeps_its_fields_as_json():
    report = Report([Section("lungs", "Lungs", [Sentence("s1", "A 9 mm nodule in the left lower lobe.")])])
    ground_report(report, [NODULE])
    assert [field["quantity"] for field in report.sentences[0].grounded] == ["longest_diameter", "place"]
    assert Report.from_dict(report.to_dict()) == report
