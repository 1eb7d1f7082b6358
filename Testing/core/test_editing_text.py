"""Typing in the report: offsets, splitting, merging, links that stay, undo."""

from __future__ import annotations

import random

import pytest
from editing_study import NODULE, Clock, phantom_study, study

from uvlm_core.errors import EditError
from uvlm_core.report.editing import EditableReport


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def report(clock):
    return EditableReport.from_study(study(), clock)


def texts(report, section="lungs"):
    return [sentence.text for sentence in next(row for row in report.sections if row.name == section).sentences]


def ids(report, section="lungs"):
    return [sentence.id for sentence in next(row for row in report.sections if row.name == section).sentences]


def type_at(report, offset, letters, removed=0):
    """Types letter by letter, as an editor tells it, and checks that both sides keep the same text."""
    shown = report.layout().text
    for number, letter in enumerate(letters or [""]):
        edit = report.replace_range(offset + number, removed if number == 0 else 0, letter)
        gone = removed if number == 0 else 0
        shown = shown[: offset + number] + letter + shown[offset + number + gone :]
        assert edit.as_typed and report.layout().text == shown


def test_the_document_shows_titles_and_texts(report):
    layout = report.layout()
    assert layout.text.startswith("Lungs\nThere is a 24 mm nodule in the left upper lobe. A 9 mm nodule")
    assert layout.text.endswith("\nImpression\nLung nodule in the left upper lobe. Liver lesion.")
    for sentence in report.sentences:
        start, end = layout.span_of(sentence.id)
        assert layout.text[start:end] == sentence.text
        assert {layout.sentence_at(place) for place in range(start, end + 1)} == {sentence.id}
        assert layout.section_at(start) == sentence.section
    assert layout.sentence_at(2) is None and layout.section_at(2) == "lungs"
    assert layout.section_at(len(layout.text) + 1) is None
    headings = [piece for piece in layout.pieces if piece.kind == "heading"]
    assert [layout.text[piece.start : piece.end] for piece in headings] == [row.title for row in report.sections]


def test_offsets_of_qt(report):
    report.edit_sentence("s3", "No 𝛼 consolidation.")
    layout = report.layout()
    for offset in range(len(layout.text) + 1):
        assert layout.utf16(offset) == len(layout.text[:offset].encode("utf-16-le")) // 2
        assert layout.from_utf16(layout.utf16(offset)) == offset
    place = layout.text.index("𝛼")
    assert layout.from_utf16(layout.utf16(place) + 1) == place  # inside of the pair


def test_typing_in_a_sentence_keeps_id_links_and_is_one_undo(report, clock):
    start = report.layout().span_of("s1")[0]
    before = report.to_json()
    type_at(report, start + len("There is a 24 mm "), "solid ")
    sentence = report.sentence("s1")
    assert sentence.text == "There is a 24 mm solid nodule in the left upper lobe."
    assert (sentence.edit, sentence.generated_text) == ("edited", "There is a 24 mm nodule in the left upper lobe.")
    assert sentence.segments == (NODULE,) and sentence.fields[0].old == "24 mm"
    assert sentence.changed == "2026-01-02T10:15:00Z"
    assert len(report.changes) == 1 and report.changes[0].before == sentence.generated_text
    assert report.changes[0].after == sentence.text
    report.undo()
    assert texts(report)[0] == sentence.generated_text and not report.can_undo
    assert EditableReport.from_json(before).layout().text == report.layout().text
    report.redo()
    assert report.sentence("s1") == sentence


def test_a_pause_makes_two_undos(report, clock):
    end = report.layout().span_of("s3")[1] - 1
    type_at(report, end, " or effusion")
    clock.wait(4)
    type_at(report, end + len(" or effusion"), " seen")
    assert [change.after for change in report.changes] == ["No consolidation or effusion.",
                                                           "No consolidation or effusion seen."]
    report.undo()
    assert texts(report)[-1] == "No consolidation or effusion."


def test_a_new_sentence_between_two(report):
    end = report.layout().span_of("s1")[1]
    type_at(report, end, " It is solid.")
    assert texts(report)[:3] == ["There is a 24 mm nodule in the left upper lobe.", "It is solid.",
                                 "A 9 mm nodule in the right lower lobe."]
    new = ids(report)
    assert new[0] == "s1" and new[2:] == ["s2", "s3"] and new[1].startswith("u")
    assert report.sentence(new[1]).edit == "added" and report.sentence(new[1]).generated_text is None


def test_a_new_sentence_before_the_first_and_after_the_last(report):
    start = report.layout().span_of("s1")[0]
    type_at(report, start, "Good inspiration. ")
    assert texts(report)[:2] == ["Good inspiration.", "There is a 24 mm nodule in the left upper lobe."]
    assert ids(report)[1:] == ["s1", "s2", "s3"]
    type_at(report, report.layout().span_of("s3")[1], " No pneumothorax.")
    assert texts(report)[-1] == "No pneumothorax." and ids(report)[1:4] == ["s1", "s2", "s3"]


def test_splitting_and_merging_keeps_the_id_of_the_larger_part(report):
    start = report.layout().span_of("s1")[0]
    cut = len("There is a 24 mm nodule")
    type_at(report, start + cut, ". It lies")
    assert texts(report)[:2] == ["There is a 24 mm nodule.", "It lies in the left upper lobe."]
    assert ids(report)[0] == "s1" or ids(report)[1] == "s1"
    kept = report.sentence("s1")
    assert kept.segments or kept.findings or kept.text.startswith("It lies")
    first = next(sentence for sentence in report.sentences if sentence.text == "There is a 24 mm nodule.")
    assert first.fields[0].segment == NODULE
    # and together again: the full stop and the words go
    type_at(report, start + cut, "", removed=len(". It lies"))
    assert texts(report)[0] == "There is a 24 mm nodule in the left upper lobe."
    assert report.sentence(ids(report)[0]).fields[0].segment == NODULE
    assert len(ids(report)) == 3


def test_a_full_stop_taken_away_before_a_small_letter_merges(report):
    report.edit_sentence("s2", "A 9 mm nodule in the right lower lobe.")
    end = report.layout().span_of("s1")[1]
    type_at(report, end - 1, "", removed=1)
    assert ids(report) == ["s1", "s2", "s3"]  # the next begins with a capital letter: still two
    type_at(report, end, "and a", removed=1)
    assert texts(report) == ["There is a 24 mm nodule in the left upper lobe and a 9 mm nodule in the right lower "
                             "lobe.", "No consolidation."]
    assert ids(report) == ["s1", "s3"]
    assert [field.segment for field in report.sentence("s1").fields] == [NODULE, "lung_nodule_2"]
    report.undo()
    report.undo()
    assert ids(report) == ["s1", "s2", "s3"]


def test_whole_sentence_typed_over_keeps_its_id(report):
    start, end = report.layout().span_of("s3")
    edit = report.replace_range(start, end - start, "Effusion on both sides!")
    assert edit.sentences == ("s3",) and report.sentence("s3").findings == ("Pleural effusion",)


def test_a_selection_over_sections_leaves_the_titles(report):
    layout = report.layout()
    start = layout.span_of("s3")[0]
    end = layout.span_of("s5")[0]
    edit = report.replace_range(start, end - start, "X. ")
    assert not edit.as_typed
    assert [row.name for row in report.sections] == ["lungs", "heart", "abdomen", "impression"]
    assert texts(report)[-1] == "X." and texts(report, "heart") == []
    assert report.sentence("s5").fields
    report.undo()
    assert report.layout().text == layout.text


def test_titles_cannot_be_typed_over(report):
    before = report.layout().text
    edit = report.replace_range(1, 2, "y")
    assert edit.sentences == () and not edit.as_typed and report.layout().text == before and not report.changes
    body_end = report.layout().bodies["lungs"][1]
    assert not report.replace_range(body_end, 1, "").as_typed  # the line break before the next title
    assert report.layout().text == before


def test_everything_can_be_selected_and_deleted(report):
    edit = report.replace_range(0, len(report.layout().text), "")
    assert not edit.as_typed and report.sentences == ()
    assert report.layout().text == "Lungs\n\nHeart and vessels\n\nUpper abdomen\n\nImpression\n"
    type_at(report, len("Lungs\n"), "Clear lungs.")
    assert texts(report) == ["Clear lungs."]
    assert report.to_json() == EditableReport.from_json(report.to_json()).to_json()


def test_line_ends_of_qt_and_broken_letters_are_cleaned(report):
    end = report.layout().span_of("s3")[1]
    assert report.replace_range(end, 0, "\u2029- No effusion.").as_typed
    assert texts(report)[-1] == "No effusion." and "\n- No effusion." in report.layout().text
    assert report.replace_range(end, 0, "\ud800").as_typed
    assert "\ufffd" in report.layout().text
    assert not report.replace_range(end, 0, "\r\n").as_typed  # one letter less than typed
    with pytest.raises(EditError, match="text is expected"):
        report.replace_range(end, 0, None)


@pytest.mark.parametrize(("start", "removed"), [(-1, 0), (0, -1), (0, 10_000), (10_000, 0)])
def test_offsets_outside_are_refused(report, start, removed):
    with pytest.raises(EditError, match="outside of the document"):
        report.replace_range(start, removed, "x")


@pytest.mark.parametrize("seed", range(6))
def test_any_typing_keeps_document_and_sentences_together(seed):
    """Random edits: the document equals a plain text with the same edits, ids stay unique, undo goes all the way."""
    chance = random.Random(seed)
    clock = Clock(step=10)
    report = EditableReport.from_study(phantom_study(6).content, clock)
    first = report.layout().text
    pieces = [" ", ".", ". ", "no", "A new one. ", " 12 mm", "\n", "(e.g. x)", "ü", "", "and ", "5.5 cm"]
    for _ in range(60):
        layout = report.layout()
        name = chance.choice(list(layout.bodies))
        low, high = layout.bodies[name]
        start = chance.randint(low, high)
        removed = min(chance.choice([0, 0, 1, 3, 20]), high - start)
        text = chance.choice(pieces)
        edit = report.replace_range(start, removed, text)
        assert edit.as_typed
        assert report.layout().text == layout.text[:start] + text + layout.text[start + removed :]
        names = [sentence.id for sentence in report.sentences]
        assert len(set(names)) == len(names)
        for sentence in report.sentences:
            assert sentence.text == sentence.text.strip() != ""
            for field in sentence.fields:
                assert sentence.text[field.start : field.end] == field.old
    text = report.to_json()
    assert EditableReport.from_json(text, clock).to_json() == text
    last = report.layout().text
    while report.can_undo:
        report.undo()
    assert report.layout().text == first
    while report.can_redo:
        report.redo()
    assert report.layout().text == last


def test_sentences_are_inserted_removed_and_moved(report):
    new = report.insert_sentence("lungs", "No atelectasis.", after="s1")
    assert ids(report) == ["s1", new, "s2", "s3"]
    first = report.insert_sentence("lungs", "Good inspiration. No motion.", after="")
    assert texts(report)[:2] == ["Good inspiration.", "No motion."] and ids(report)[0] == first
    report.remove_sentence(first)
    assert texts(report)[0] == "No motion." and report.layout().text.startswith("Lungs\nNo motion. There")
    report.move_sentence("s3", "impression", after="")
    assert ids(report, "impression")[0] == "s3" and "s3" not in ids(report)
    assert report.section_of("s3").name == "impression"
    report.move_sentence("s2", "lungs", after="")
    assert ids(report)[0] == "s2"
    for _ in range(5):
        report.undo()
    assert report.layout().text == EditableReport.from_study(study()).layout().text


def test_a_section_that_is_not_there_is_made_in_its_place(report):
    new = report.insert_normal_sentence("pleura")
    assert [row.name for row in report.sections] == ["lungs", "pleura", "heart", "abdomen", "impression"]
    assert report.sentence(new).text == "No pleural effusion."
    report.undo()
    assert [row.name for row in report.sections] == ["lungs", "heart", "abdomen", "impression"]


def test_normal_sentences_contradict_nothing_and_do_not_repeat(report):
    assert report.normal_sentences("lungs") == ["No ground-glass opacity.", "No atelectasis.", "No emphysema."]
    assert "The liver is unremarkable." not in report.normal_sentences("abdomen")
    assert "The kidneys are unremarkable." in report.normal_sentences("abdomen")
    report.override_finding("Emphysema", "uncertain")
    assert "No emphysema." not in report.normal_sentences("lungs")
    for region in ("pleura", "heart", "abdomen", "lungs", "airways", "mediastinum", "bones"):
        while report.normal_sentences(region):
            report.insert_normal_sentence(region)
    assert not [flag for flag in report.all_flags if flag.kind in ("presence", "internal")]
    with pytest.raises(EditError, match="No normal sentence"):
        report.insert_normal_sentence("pleura")


def test_an_edit_with_several_sentences_takes_them_apart(report):
    report.edit_sentence("s3", "No consolidation. No effusion.")
    assert texts(report)[-2:] == ["No consolidation.", "No effusion."] and ids(report)[2] == "s3"
    report.edit_sentence("s3", "")
    assert "s3" not in ids(report)


@pytest.mark.parametrize(("written", "count"), [
    ("Nodule in the Lt. lower lobe.", 1), ("Mass of 2 cm. in the liver.", 1), ("A nodule, diam. 12 mm.", 1),
    ("No nodule in the Lt. Lesion in the liver.", 2), ("The largest has 2 cm. Liver is normal.", 2),
    ("no nodule over 5 mm. liver lesion of 2 cm.", 2), ("Largest 5mm. 2 further nodules.", 2), ("5mm. in size", 1),
])
def test_abbreviations_end_no_sentence_that_goes_on(report, written, count):
    before = len(report.sentences)
    report.insert_sentence("other", written)
    assert len(report.sentences) == before + count


@pytest.mark.parametrize(("written", "kept"), [
    ("-80 HU mean density of the liver.", "-80 HU mean density of the liver."), ("- 24 mm nodule.", "24 mm nodule."),
    ("- -80 HU mean density.", "-80 HU mean density."), ("-Stable nodule.", "Stable nodule."),
    ("• 24 mm nodule.", "24 mm nodule."),
])
def test_a_minus_before_a_number_is_no_list_mark(report, written, kept):
    assert report.sentence(report.insert_sentence("lungs", written)).text == kept
    report.edit_sentence("s3", written)
    assert report.sentence("s3").text == kept


@pytest.mark.parametrize("call", [
    lambda report: report.insert_sentence("lungs", "-"), lambda report: report.insert_sentence("lungs", " • \n - "),
    lambda report: report.sentence("s99"), lambda report: report.edit_sentence("s99", "x"),
    lambda report: report.remove_sentence("s99"), lambda report: report.move_sentence("s1", "attic"),
    lambda report: report.move_sentence("s1", "lungs", "s1"), lambda report: report.insert_sentence("attic", "x"),
    lambda report: report.insert_sentence("lungs", "  "), lambda report: report.insert_sentence("lungs", "x", "s9"),
    lambda report: report.insert_sentence("lungs", "x", segments=["nothing"]),
    lambda report: report.link_sentence("s1", ["nothing"]), lambda report: report.normal_sentences("attic"),
    lambda report: report.insert_finding("Dragon"), lambda report: report.insert_finding("Lung nodule", "nothing"),
])
def test_wrong_calls_say_so_and_change_nothing(report, call):
    before = report.to_json()
    with pytest.raises(EditError) as error:
        call(report)
    assert len(str(error.value)) > 20 and report.to_json() == before


def test_what_is_read_cannot_be_changed(report):
    with pytest.raises(AttributeError):
        report.sentence("s1").text = "x"
    report.findings[0]["state"] = "present"
    report.segments[0]["side"] = "left"
    assert report.findings[0]["state"] == "absent" and report.segments[0]["side"] is None


def test_links_follow_the_text_and_those_by_hand_stay(report):
    report.edit_sentence("s2", "A 9 mm nodule in the left upper lobe.")
    assert report.sentence("s2").segments == ("lung_nodule_2",)  # its live field knows which
    report.edit_sentence("s3", "There is a lesion in the liver.")
    assert report.sentence("s3").segments == ("liver_lesion_1",)
    report.link_sentence("s3", ["liver"])
    report.edit_sentence("s3", "There is a lesion in the liver, probably a cyst.")
    assert report.sentence("s3").segments == ("liver",) and report.sentence("s3").links_by_hand
    report.link_sentence("s3", ["liver_lesion_1"])
    report.edit_sentence("s3", "A bright spot.")
    assert report.sentence("s3").findings == ("Liver lesion",) and report.sentences_of("liver_lesion_1") == [
        "s3", "s5", "s7"]
    report.link_sentence("s3", None)
    assert report.sentence("s3").segments == () and not report.sentence("s3").links_by_hand


def test_insert_finding_says_it_is_present(report):
    new = report.insert_finding("Consolidation")
    assert report.sentence(new).text == "There is consolidation in the lung."
    row = next(row for row in report.findings if row["name"] == "Consolidation")
    assert (row["state"], row["by"], row["generated_state"]) == ("present", "user", "absent")
    assert "presence" in [flag.kind for flag in report.sentence("s3").flags]  # "No consolidation." is wrong now
    short = report.insert_finding("Liver lesion", "liver_lesion_1", section="impression")
    assert report.sentence(short).text == "Liver lesion." and report.sentence(short).segments == ("liver_lesion_1",)
    report.undo()
    report.undo()
    assert next(row for row in report.findings if row["name"] == "Consolidation")["by"] == "model"


def test_each_change_is_recorded_with_its_time(report, clock):
    report.edit_sentence("s1", "A mass.")
    clock.wait(90)
    report.remove_sentence("s2")
    report.undo()
    rows = [(change.number, change.time, change.kind, change.target, change.before, change.after, change.undone)
            for change in report.changes]
    assert rows == [
        (1, "2026-01-02T10:15:00Z", "edit_sentence", "s1", "There is a 24 mm nodule in the left upper lobe.", "A mass.",
         False),
        (2, "2026-01-02T10:16:30Z", "remove_sentence", "s2", "A 9 mm nodule in the right lower lobe.", None, True),
        (3, "2026-01-02T10:16:30Z", "undo", "s2", None, "A 9 mm nodule in the right lower lobe.", False)]
    assert report.redo().number == 2 and report.redo() is None


def test_a_new_edit_ends_redo(report):
    report.edit_sentence("s1", "A mass.")
    report.undo()
    report.edit_sentence("s2", "Another mass.")
    assert not report.can_redo and report.redo() is None
    assert texts(report)[:2] == ["There is a 24 mm nodule in the left upper lobe.", "Another mass."]


def test_an_edit_that_changes_nothing_is_none(report):
    revision = report.revision
    report.edit_sentence("s1", report.sentence("s1").text)
    report.override_finding("Lung nodule", None)
    start, end = report.layout().span_of("s1")
    assert report.replace_range(start, end - start, report.sentence("s1").text).as_typed
    assert report.revision == revision and not report.changes
