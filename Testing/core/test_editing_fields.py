"""Live fields stay with their own lesion, whatever becomes of the words around them."""

from __future__ import annotations

import pytest
from editing_study import NODULE, Clock, measurement, study

from uvlm_core.report.editing import EditableReport

SMALL = "lung_nodule_2"
TWO = "There is a 24 mm nodule in the left upper lobe and a 9 mm nodule in the right lower lobe."
SWAPPED = "There is a 9 mm nodule in the right lower lobe and a 24 mm nodule in the left upper lobe."


def report_of(text, **options):
    return EditableReport.from_study(study(f"Lungs: {text}", **options), Clock())


def fields(report, sentence="s1"):
    return [(field.old, field.segment, field.state) for field in report.sentence(sentence).fields]


def paste(report, text):
    start, end = report.layout().span_of("s1")
    report.replace_range(start, end - start, text)


@pytest.mark.parametrize("rewrite", [lambda report, text: report.edit_sentence("s1", text), paste])
def test_halves_that_change_places_keep_their_masks(rewrite):
    report = report_of(TWO)
    rewrite(report, SWAPPED)
    assert fields(report) == [("9 mm", SMALL, "current"), ("24 mm", NODULE, "current")]
    report.apply_measurements([measurement(NODULE, "longest_diameter", 25.6)])
    assert report.accept_all_fields() == 1
    assert report.sentence("s1").text == SWAPPED.replace("24 mm", "26 mm")


def test_sentences_that_change_places_keep_their_masks():
    report = report_of("A 24 mm nodule in the left upper lobe. A 9 mm nodule in the right lower lobe.")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 30.0)])
    start, end = report.layout().span_of("s1")[0], report.layout().span_of("s2")[1]
    report.replace_range(start, end - start,
                         "A 9 mm nodule in the right lower lobe. A 24 mm nodule in the left upper lobe.")
    told = [(field.old, field.segment, field.state) for sentence in report.sentences for field in sentence.fields]
    assert told == [("9 mm", SMALL, "current"), ("24 mm", NODULE, "stale")]


def test_a_number_that_was_taken_out_does_not_give_its_mask_to_another():
    report = report_of(TWO)
    report.edit_sentence("s1", "There is a nodule in the left upper lobe and a 9 mm nodule in the right lower lobe, "
                               "of the same shape.")
    assert fields(report) == [("9 mm", SMALL, "current")]


def test_two_numbers_typed_over_at_once_are_tied_to_nothing():
    report = report_of(TWO)
    report.edit_sentence("s1", "There is a 10 mm nodule in the right lower lobe and a 26 mm nodule in the left lung.")
    assert fields(report) == []


@pytest.mark.parametrize(("text", "old"), [
    ("Solid 24 mm nodule, left upper lobe, spiculated.", "24 mm"),
    ("There is a 24mm nodule in the left upper lobe.", "24mm"),
])
def test_a_warning_stays_while_the_words_around_the_number_change(text, old):
    report = report_of("There is a 24 mm nodule in the left upper lobe.")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 30.0)])
    report.edit_sentence("s1", text)
    assert fields(report) == [(old, NODULE, "stale")]
    assert "stale" in [point.kind for point in report.open_points()]


def test_one_number_typed_over_one_is_the_readers_word():
    report = report_of("There is a 24 mm nodule in the left upper lobe.")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 30.0)])
    report.edit_sentence("s1", "There is a 29 mm nodule in the left upper lobe, and it is solid.")
    assert fields(report) == [("29 mm", NODULE, "current")]
    report.apply_measurements([measurement(NODULE, "longest_diameter", 33.0)])
    assert fields(report) == [("29 mm", NODULE, "stale")]


LUNG = ("lung_nodule", 1, "left", "left upper lobe", 20.0, 18.2)
LIVER = ("liver_lesion", 1, None, None, 23.0, 22.0)


def test_a_number_is_tied_to_a_mask_of_what_it_speaks_of():
    report = report_of("There is a 24 mm nodule in the left upper lobe and a 12 mm lesion in the liver.",
                       segments=(LUNG, LIVER))
    assert fields(report) == [("24 mm", NODULE, "current")]
    report.edit_sentence("s1", "There is a 31 mm lesion in the liver.")
    assert fields(report) == [] and report.sentence("s1").segments == ("liver_lesion_1",)
    report.edit_sentence("s1", "Liver lesion measuring 23 mm and lung nodule.")
    assert fields(report) == [("23 mm", "liver_lesion_1", "current")]


@pytest.mark.parametrize(("text", "tied"), [
    ("The nodule in the left upper lobe measures 12 mm, previously 20 mm.", []),
    ("The nodule in the left upper lobe measures 20 mm (prior 20 mm).", ["20 mm"]),
    ("The nodule in the left upper lobe, formerly measuring 20 mm, is solid.", []),
    ("The nodule in the left upper lobe was 20 mm.", []),
])
def test_an_earlier_size_does_not_follow_the_mask(text, tied):
    report = report_of(text, segments=(LUNG,))
    assert [field.old for field in report.sentence("s1").fields] == tied
    report.edit_sentence("s1", f"In short: {text}")
    assert [field.old for field in report.sentence("s1").fields] == tied


def test_a_mask_that_the_reader_unlinked_is_not_tied_again():
    report = report_of("There is a 24 mm nodule in the left upper lobe.", segments=(
        ("lung_nodule", 1, "left", "left upper lobe", 24.3, 18.2), ("lung_nodule", 3, "left", None, 40.0, 22.0)))
    report.link_sentence("s1", ["lung_nodule_3"])
    assert fields(report) == []
    report.link_sentence("s1", None)
    assert fields(report) == [("24 mm", NODULE, "current")]


def type_over(report, old, new):
    """Key by key: the old letters from the last to the first, then the new ones."""
    start = report.layout().span_of("s1")[0] + report.sentence("s1").text.index(old)
    for number in reversed(range(len(old))):
        report.replace_range(start + number, 1, "")
    for number, letter in enumerate(new):
        report.replace_range(start + number, 0, letter)


@pytest.mark.parametrize("text", [
    "Several nodules are seen in both lungs, the largest measuring 24 mm.",
    "There are multiple nodules in both lungs, the largest 24 mm in diameter.",
])
def test_a_number_on_the_way_to_another_ties_nothing(text):
    report = report_of(text, segments=(("lung_nodule", 1, "left", "left upper lobe", 24.3, 18.2),
                                       ("lung_nodule", 2, "right", "right lower lobe", 3.2, 3.0)))
    type_over(report, "24", "30")
    assert fields(report) == [("30 mm", NODULE, "current")] and report.sentence("s1").segments == (NODULE,)
    report.apply_measurements([measurement(SMALL, "longest_diameter", 4.1)])
    assert report.accept_all_fields() == 0
    report.apply_measurements([measurement(NODULE, "longest_diameter", 33.0)])
    assert fields(report) == [("30 mm", NODULE, "stale")]
    assert len([change for change in report.changes if change.kind == "edit_sentence"]) == 1
    report.undo()
    assert fields(report) == [("24 mm", NODULE, "stale")]


def test_a_number_typed_in_a_new_sentence_ties_only_what_it_says_at_last():
    report = report_of("Nodules.", segments=(("lung_nodule", 1, "left", "left upper lobe", 24.3, 18.2),
                                             ("lung_nodule", 2, "right", "right lower lobe", 3.2, 3.0)))
    start = report.layout().span_of("s1")[1]
    report.replace_range(start, 0, " A nodule of  mm.")
    new = report.sentences[1].id
    for letter in "30":
        report.replace_range(report.layout().text.index(" mm."), 0, letter)
    assert report.sentence(new).text == "A nodule of 30 mm." and report.sentence(new).fields == ()
