"""The text follows the masks: live fields, removed and added masks, offers."""

from __future__ import annotations

import pytest
from editing_study import NODULE, Clock, measurement, phantom_study, study

from uvlm_core.errors import EditError
from uvlm_core.report.editing import EditableReport
from uvlm_core.report.editing.expressions import QUANTITIES, find_expressions, rendered, written


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def report(clock):
    return EditableReport.from_study(study(), clock)


def row_of(report, name):
    return next(row for row in report.findings if row["name"] == name)


EXPRESSIONS = [  # text, (quantities, values), the text with 80 % of the values
    ("A 24 mm nodule", ("longest_diameter",), (24.0,), "19 mm"),
    ("A 24-mm nodule", ("longest_diameter",), (24.0,), "19-mm"),
    ("2.4 x 1.8 cm", ("longest_diameter", "short_axis"), (24.0, 18.0), "1.9 x 1.4 cm"),
    ("2,4 cm × 1,8 cm", ("longest_diameter", "short_axis"), (24.0, 18.0), "1,9 cm × 1,4 cm"),
    ("up to 5.0 mm", ("longest_diameter",), (5.0,), "4.0 mm"),
    ("a volume of 120 ml", ("volume",), (120.0,), "96 ml"), ("1.25 L", ("volume",), (1250.0,), "1.00 L"),
    ("15 cm³", ("volume",), (15.0,), "12 cm³"), ("1 cm", ("longest_diameter",), (10.0,), "1 cm"),
    ("mean density 35 HU", ("mean_hu",), (35.0,), "28 HU"), ("−35 HU", ("mean_hu",), (-35.0,), "−28 HU"),
    ("(-35 HU)", ("mean_hu",), (-35.0,), "-28 HU"), ("12 mm in short axis", ("short_axis",), (12.0,), "10 mm"),
    ("a short axis of 12 mm", ("short_axis",), (12.0,), "10 mm"),
    ("1,203 ml", ("volume",), (1203.0,), "962 ml"), ("1,203.5 cm³", ("volume",), (1203.5,), "962.8 cm³"),
    ("12,500 cc", ("volume",), (12500.0,), "10,000 cc"), ("−1,250 HU", ("mean_hu",), (-1250.0,), "−1,000 HU"),
    ("1,250 l", ("volume",), (1250.0,), "1,000 l"), ("1,203 cm", ("longest_diameter",), (12.03,), "0,962 cm"),
    ("0,547 ml", ("volume",), (0.547,), "0,438 ml"),
    ("The cardiothoracic ratio is 0.55.", ("cardiothoracic_ratio",), (0.55,), "0.44"),
]


@pytest.mark.parametrize(("text", "quantities", "values", "smaller"), EXPRESSIONS)
def test_measurements_are_found_and_written_alike(text, quantities, values, smaller):
    found = find_expressions(text)
    assert [(entry.quantities, entry.values) for entry in found] == [(quantities, pytest.approx(values))]
    assert rendered(text, found[0], found[0].values) == text[found[0].start : found[0].end]
    assert rendered(text, found[0], tuple(value * 0.8 for value in values)) == smaller


@pytest.mark.parametrize("text", [
    "nodes smaller than 10 mm", "12-15 mm", "10 to 15 mm", "5 mm from the pleura", "24 x 18 x 12 mm", "20 mm3",
    "30 mm²", "a thickness of 12 mm", "12 mm thick", "1 mm slices", "segment 4", "L3", "on 24 January", "within 5 mm",
    "-5 mm",
])
def test_other_numbers_are_no_measurements_of_a_mask(text):
    assert find_expressions(text) == []


def test_small_values_do_not_become_zero():
    text = "1 cm"
    assert rendered(text, find_expressions(text)[0], (3.2,)) == "0.3 cm"


@pytest.mark.parametrize(("quantity", "value", "unit", "decimals", "words"), [
    ("longest_diameter", 24.3, None, None, "24 mm"), ("longest_diameter", 24.3, "cm", None, "2.4 cm"),
    ("longest_diameter", 24.31, "mm", 1, "24.3 mm"), ("volume", 1.43, None, None, "1.4 ml"),
    ("volume", 143.2, None, None, "143 ml"), ("volume", 1432.0, "l", None, "1.4 l"),
    ("mean_hu", -35.4, None, None, "-35 HU"),
    ("cardiothoracic_ratio", 0.547, None, None, "0.55"),
])
def test_measurements_in_words(quantity, value, unit, decimals, words):
    assert written(quantity, value, unit, decimals) == words
    assert quantity in QUANTITIES


def test_fields_are_found_when_the_report_is_made(report):
    fields = {sentence.id: [(field.old, field.segment, field.quantities, field.state) for field in sentence.fields]
              for sentence in report.sentences if sentence.fields}
    assert fields == {"s1": [("24 mm", NODULE, ("longest_diameter",), "current")],
                      "s2": [("9 mm", "lung_nodule_2", ("longest_diameter",), "current")],
                      "s5": [("3.1 x 2.2 cm", "liver_lesion_1", ("longest_diameter", "short_axis"), "current")]}


def test_two_numbers_of_one_sentence_belong_to_two_masks():
    text = "Lungs: Nodules of 9 mm in the right lower lobe and 24 mm in the left lung."
    report = EditableReport.from_study(study(text))
    assert [field.segment for field in report.sentence("s1").fields] == ["lung_nodule_2", NODULE]


def test_a_number_far_from_every_mask_is_left_to_the_checks():
    report = EditableReport.from_study(study("Lungs: A 60 mm nodule in the left upper lobe."))
    assert report.sentence("s1").fields == ()
    assert [(flag.kind, flag.suggestion) for flag in report.sentence("s1").flags] == [
        ("size", "A 24 mm nodule in the left upper lobe.")]
    report.quick_fix("s1", 0)
    assert report.sentence("s1").flags == () and report.sentence("s1").fields[0].segment == NODULE


def test_a_thickness_is_no_diameter():
    content = study("Pleura: A left pleural effusion of 30 mm, 120 ml.",
                    segments=[("pleural_effusion", 1, "left", None, 30.2, 10.0)])
    content["measurements"] = [row if row["name"] != "volume" else {**row, "value": 121.0}
                               for row in content["measurements"]]
    report = EditableReport.from_study(content)
    assert [field.quantity for field in report.sentence("s1").fields] == ["volume"]


def test_stale_accept_undo(report, clock):
    stale = report.apply_measurements([measurement(NODULE, "longest_diameter", 17.6),
                                       measurement(NODULE, "volume", 2.0)])
    assert [(field.sentence, field.index, field.old, field.new, field.state) for field in stale] == [
        ("s1", 0, "24 mm", "18 mm", "stale")]
    assert report.stale_fields == tuple(stale) and stale[0].values == (17.6,)
    assert [flag.kind for flag in report.sentence("s1").flags] == []  # the stale field says it already
    assert report.measurement(NODULE, "longest_diameter")["value"] == 17.6
    report.accept_field("s1", 0)
    assert report.sentence("s1").text == "There is a 18 mm nodule in the left upper lobe."
    assert report.stale_fields == () and report.sentence("s1").segments == (NODULE,)
    report.undo()
    assert [field.new for field in report.stale_fields] == ["18 mm"]  # the mask is as it is
    assert not report.can_undo
    report.redo()
    assert report.stale_fields == ()
    assert [change.kind for change in report.changes] == ["measure_masks", "accept_field", "undo", "redo"]
    assert report.changes[0].before == "lung_nodule_1 longest diameter 24.3 mm, lung_nodule_1 volume 7.174 ml"


def test_a_change_that_the_text_does_not_show_is_not_stale(report):
    assert report.apply_measurements([measurement(NODULE, "longest_diameter", 24.1)]) == []
    assert report.stale_fields == ()
    assert len(report.changes) == 1
    assert report.apply_measurements([measurement(NODULE, "longest_diameter", 24.1)]) == []
    assert len(report.changes) == 1  # the same again is no news


def test_rows_of_masks_are_taken_over(report):
    row = next(row for row in report.segments if row["id"] == NODULE)
    report.apply_measurements([], [{**row, "side": None, "place": None, "volume_ml": 1.0}])  # without its organs
    now = next(row for row in report.segments if row["id"] == NODULE)
    assert now == {**row, "volume_ml": 1.0} and now["place"] == "left upper lobe"
    report.apply_measurements([], [{**row, "side": "right", "place": "right upper lobe"}])
    assert [flag.kind for flag in report.sentence("s1").flags] == ["side"]


def test_a_field_that_is_dismissed_stays_until_the_mask_changes_again(report):
    report.apply_measurements([measurement(NODULE, "longest_diameter", 22.0)])
    report.dismiss_field("s1", 0)
    assert report.stale_fields == () and report.sentence("s1").text.startswith("There is a 24 mm")
    report.undo()
    assert len(report.stale_fields) == 1
    report.redo()
    report.apply_measurements([measurement(NODULE, "longest_diameter", 20.0)])
    assert [(field.old, field.new) for field in report.stale_fields] == [("24 mm", "20 mm")]


def test_a_dismissed_field_far_off_is_flagged_by_the_checks(report):
    report.apply_measurements([measurement(NODULE, "longest_diameter", 12.0),
                               measurement("lung_nodule_2", "longest_diameter", 4.0)])
    report.dismiss_field("s1", 0)
    assert [flag.kind for flag in report.sentence("s1").flags] == ["size"]


def test_links_do_not_jump_to_another_mask_when_the_masks_change(report):
    """The 24 mm nodule shrinks to 10 mm while another one has 22: the sentence still means the first."""
    report.apply_measurements([measurement(NODULE, "longest_diameter", 10.0),
                               measurement("lung_nodule_2", "longest_diameter", 22.0)])
    report.edit_sentence("s1", "There is a 24 mm solid nodule.")
    assert report.sentence("s1").segments == (NODULE,)
    assert [(field.sentence, field.new) for field in report.stale_fields] == [("s1", "10 mm"), ("s2", "22 mm")]
    assert report.accept_all_fields() == 2
    assert report.sentence("s1").text == "There is a 10 mm solid nodule."
    report.undo()
    assert len(report.stale_fields) == 2


def test_both_axes_are_written_with_their_unit_and_decimals(report):
    report.apply_measurements([measurement("liver_lesion_1", "longest_diameter", 36.0),
                               measurement("liver_lesion_1", "short_axis", 24.4)])
    field = report.stale_fields[0]
    assert (field.old, field.new, field.unit) == ("3.1 x 2.2 cm", "3.6 x 2.4 cm", "cm")
    report.accept_field("s5", 0)
    assert report.sentence("s5").text == "There is a 3.6 x 2.4 cm lesion in the liver."


def test_fields_move_with_the_text_and_a_typed_number_is_the_readers_word(report):
    report.edit_sentence("s1", "In the left upper lobe there is a solid nodule of 24 mm.")
    assert report.sentence("s1").fields[0].old == "24 mm"
    start = report.layout().span_of("s1")[0] + report.sentence("s1").text.index("24")
    report.replace_range(start, 2, "25")
    field = report.sentence("s1").fields[0]
    assert (field.old, field.segment, field.state) == ("25 mm", NODULE, "current")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 26.4)])
    assert [(field.old, field.new) for field in report.stale_fields] == [("25 mm", "26 mm")]
    report.edit_sentence("s1", "In the left upper lobe there is a solid nodule.")
    assert report.sentence("s1").fields == ()
    report.edit_sentence("s1", "In the left upper lobe there is a solid nodule of 26 mm.")  # as the mask measures
    assert report.sentence("s1").fields[0].segment == NODULE
    report.edit_sentence("s3", "Nodules of 26 mm are no fact here.")
    assert report.sentence("s3").fields[0].segment == NODULE


def test_insert_measurement(report):
    report.insert_measurement("s1", len("There is a 24 mm"), NODULE, "volume", decimals=1)
    assert report.sentence("s1").text == "There is a 24 mm 7.2 ml nodule in the left upper lobe."
    assert [(field.old, field.quantity) for field in report.sentence("s1").fields] == [
        ("24 mm", "longest_diameter"), ("7.2 ml", "volume")]
    report.insert_measurement("s4", len("The heart is normal in size"), "heart", "mean_hu")
    assert report.sentence("s4").text == "The heart is normal in size 40 HU."
    report.insert_measurement("s3", 3, NODULE, "short_axis", "cm")
    assert report.sentence("s3").text == "No 1.8 cm consolidation."
    report.apply_measurements([measurement(NODULE, "short_axis", 12.4), measurement(NODULE, "volume", 3.04)])
    assert [(field.sentence, field.new) for field in report.stale_fields] == [("s1", "3.0 ml"), ("s3", "1.2 cm")]
    start = report.layout().span_of("s3")[0]
    report.replace_range(start, 0, "x ")  # a field that was put in by hand survives edits as well
    assert [(field.quantity, field.state) for field in report.sentence("s3").fields] == [("short_axis", "stale")]


@pytest.mark.parametrize(("arguments", "message"), [
    (("s1", 999, NODULE, "volume"), "outside of the sentence"), (("s1", 3, "x", "volume"), "no mask"),
    (("s1", 3, NODULE, "weight"), "no quantity"), (("s1", 3, "heart", "longest_diameter"), "not measured"),
    (("s1", 3, NODULE, "volume", "mm"), "cannot be given"), (("s9", 3, NODULE, "volume"), "no sentence"),
])
def test_insert_measurement_refuses(report, arguments, message):
    with pytest.raises(EditError, match=message):
        report.insert_measurement(*arguments)
    assert not report.changes


def test_a_removed_mask_flags_its_sentences_and_comes_back(report):
    assert report.segment_removed(NODULE) == ["s1", "s6"]
    flag = report.sentence("s1").flags[-1]
    assert (flag.kind, flag.suggestion) == ("mask_removed", "")
    assert (flag.start, flag.end) == (0, len(report.sentence("s1").text))
    assert "lung nodule 1" in flag.message
    assert report.sentence("s1").fields[0].state == "lost" and report.sentence("s1").fields[0].new is None
    assert row_of(report, "Lung nodule")["segments"] == ["lung_nodule_2"]
    assert row_of(report, "Lung nodule")["side"] == "right"
    with pytest.raises(EditError, match="is gone"):
        report.accept_field("s1", 0)
    assert report.segment_removed(NODULE) == ["s1", "s6"]  # told twice
    report.edit_sentence("s1", "There is a 24 mm round nodule in the left upper lobe.")
    assert "mask_removed" in [flag.kind for flag in report.sentence("s1").flags]
    content = study()
    row = next(row for row in content["segments"] if row["id"] == NODULE)
    values = [row for row in content["measurements"] if row["segment"] == NODULE]
    assert report.segment_added(NODULE, "Lung nodule", row, values) is None  # its sentences are there
    assert report.sentence("s1").flags == () and report.sentence("s1").fields[0].state == "current"


def lesion_of_the_liver(name):
    row = {**next(row for row in study()["segments"] if row["id"] == "liver_lesion_1"), "id": name, "title": name}
    return row, [measurement(name, "longest_diameter", 40.2), measurement(name, "short_axis", 30.1),
                 measurement(name, "volume", 20.0)]


@pytest.mark.parametrize("saved", [False, True])
def test_an_id_that_comes_back_for_another_finding_is_a_new_mask(report, saved):
    report.edit_sentence("s1", "There is a 24 mm round nodule in the left upper lobe.")
    report.segment_removed(NODULE)
    if saved:
        report = EditableReport.from_json(report.to_json(), Clock())
    offer = report.segment_added(NODULE, "Liver lesion", *lesion_of_the_liver(NODULE))
    assert report.offers == (offer,) and (offer.segment, offer.section) == (NODULE, "abdomen")
    assert "40" in offer.text and report.sentences_of(NODULE) == []
    old = report.sentence("s1")
    assert "mask_removed" in [flag.kind for flag in old.flags] and old.fields[0].state == "lost"
    assert row_of(report, "Lung nodule")["segments"] == ["lung_nodule_2"]
    assert report.accept_all_fields() == 0 and "24 mm" in report.sentence("s1").text
    report.undo()  # the edit of before: not the old link
    assert report.sentence("s1").text == "There is a 24 mm nodule in the left upper lobe."
    assert report.sentences_of(NODULE) == [] and report.sentence("s1").fields[0].state == "lost"
    report.link_sentence("s1", None)
    assert report.sentences_of(NODULE) == []
    new = report.accept_offer(offer.id)
    assert report.sentences_of(NODULE) == [new] and report.sentence(new).fields[0].segment == NODULE
    again = EditableReport.from_json(report.to_json(), Clock())
    assert again.to_json() == report.to_json()
    report.segment_removed(NODULE)  # and once more
    third = report.segment_added(NODULE, "Lung nodule", *[
        {**new_nodule()[0], "id": NODULE}, [measurement(NODULE, "longest_diameter", 14.2)]])
    assert report.offers == (third,) and third.text.startswith("There is a 14 mm nodule")
    assert report.sentence(new).fields[0].state == "lost"


def test_an_offer_of_a_mask_that_is_drawn_anew_goes_with_the_old_one(report):
    report.segment_added("Segment_1", "Lung nodule", *new_nodule())
    report.segment_removed("Segment_1")
    offer = report.segment_added("Segment_1", "Liver lesion", *lesion_of_the_liver("Segment_1"))
    assert report.offers == (offer,) and row_of(report, "Lung nodule")["segments"] == [NODULE, "lung_nodule_2"]
    report.segment_removed("Segment_1")
    same = report.segment_added("Segment_1", "Liver lesion", *lesion_of_the_liver("Segment_1"))
    assert report.offers == (same,)
    report.segment_removed("Segment_1")
    assert report.segment_added("Segment_1", None, {**lesion_of_the_liver("Segment_1")[0], "name": "spleen"}) is None
    assert report.offers == () and "Segment_1" not in row_of(report, "Liver lesion")["segments"]


def test_the_quick_fixes_of_a_removed_mask(report):
    report.segment_removed(NODULE)
    number = [flag.kind for flag in report.sentence("s1").flags].index("mask_removed")
    assert [fix.kind for fix in report.quick_fixes("s1", number)] == ["remove", "unlink"]
    report.quick_fix("s1", number, 1)
    assert report.sentence("s1").segments == () and report.sentence("s1").fields == ()
    report.quick_fix("s6", [flag.kind for flag in report.sentence("s6").flags].index("mask_removed"))
    assert "s6" not in [sentence.id for sentence in report.sentences]


def new_nodule(side="right", place="right upper lobe", size=14.2):
    row = {**next(row for row in study()["segments"] if row["id"] == NODULE), "id": "Segment_1", "title": "Segment 1",
           "side": side, "place": place, "volume_ml": 1.4}
    return row, [measurement("Segment_1", "longest_diameter", size), measurement("Segment_1", "volume", 1.4),
                 measurement("Segment_1", "mean_hu", 30.0)]


def test_a_new_mask_gets_a_sentence_offered(report):
    offer = report.segment_added("Segment_1", "Lung nodule", *new_nodule())
    assert (offer.section, offer.text) == ("lungs", "There is a 14 mm nodule in the right upper lobe.")
    assert report.offers == (offer,) and "Segment_1" in row_of(report, "Lung nodule")["segments"]
    assert row_of(report, "Lung nodule")["side"] == "bilateral"
    report.apply_measurements([measurement("Segment_1", "longest_diameter", 15.8)])
    assert report.offers[0].text == "There is a 16 mm nodule in the right upper lobe."
    new = report.accept_offer(offer.id)
    assert report.offers == () and report.sentence(new).segments == ("Segment_1",)
    assert report.sentence(new).fields[0].segment == "Segment_1" and report.sentence(new).flags == ()
    with pytest.raises(EditError, match="no open offer"):
        report.accept_offer(offer.id)
    report.undo()
    assert len(report.offers) == 1 and report.sentences_of("Segment_1") == []
    report.dismiss_offer(offer.id)
    assert report.offers == ()


def test_accepting_an_offer_overrules_a_finding_that_the_model_did_not_see(report):
    row, values = new_nodule("left", "left lower lobe")
    offer = report.segment_added("Segment_1", "Consolidation", {**row, "name": "consolidation"}, values)
    new = report.accept_offer(offer.id, after="")
    assert report.sections[0].sentences[0].id == new
    assert (row_of(report, "Consolidation")["state"], row_of(report, "Consolidation")["by"]) == ("present", "user")
    assert [flag.kind for flag in report.sentence("s3").flags] == ["presence"]  # "No consolidation."
    report.undo()
    assert row_of(report, "Consolidation")["state"] == "absent"


def test_a_finding_without_a_label_of_its_own_can_be_drawn(report):
    row, values = new_nodule("left", "left lower lobe")
    offer = report.segment_added("Segment_1", "Bronchiectasis", row, values)
    assert offer.text == "There is bronchiectasis in the left lung."
    assert row_of(report, "Bronchiectasis")["segments"] == ["Segment_1"]
    assert "Segment_1" not in row_of(report, "Lung nodule")["segments"]


def test_an_organ_is_added_without_an_offer_and_an_offer_goes_with_its_mask(report):
    row, values = new_nodule()
    assert report.segment_added("Segment_1", None, row, values) is None and report.offers == ()
    offer = report.segment_added("Segment_2", "Lung nodule", {**row, "id": "Segment_2"}, [])
    assert offer.text == "There is a nodule in the right upper lobe."
    report.segment_removed("Segment_2")
    assert report.offers == ()


@pytest.mark.parametrize("call", [
    lambda report: report.apply_measurements([measurement("nothing", "volume", 1.0)]),
    lambda report: report.apply_measurements([{"id": "x"}]),
    lambda report: report.apply_measurements([measurement(NODULE, "volume", "much")]),
    lambda report: report.apply_measurements([], [new_nodule()[0]]),
    lambda report: report.segment_removed("nothing"),
    lambda report: report.segment_added(NODULE, None, new_nodule()[0]),
    lambda report: report.segment_added("Segment_1", "Dragon", *new_nodule()),
    lambda report: report.segment_added("Segment_1", None, {"id": "Segment_1"}),
    lambda report: report.segment_added("Segment_1", None, new_nodule()[0], [measurement(NODULE, "volume", 1.0)]),
    lambda report: report.accept_field("s1", 1), lambda report: report.accept_field("s3", 0),
    lambda report: report.dismiss_field("s1", -1), lambda report: report.dismiss_offer("o1"),
])
def test_wrong_calls_say_so_and_change_nothing(report, call):
    before = report.to_json()
    with pytest.raises(EditError):
        call(report)
    assert report.to_json() == before


def test_a_real_study_has_live_fields_that_agree_with_its_masks():
    fields = 0
    for seed in (6, 8):
        report = EditableReport.from_study(phantom_study(seed).content)
        assert report.stale_fields == ()
        for sentence in report.sentences:
            for field in sentence.fields:
                fields += 1
                assert field.state == "current" and field.new == field.old
                assert field.segment in sentence.segments
    assert fields >= 5
