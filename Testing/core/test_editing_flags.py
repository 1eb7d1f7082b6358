"""Contradictions in an edited report: flags, where they stand, what one click does, the reader's word."""

from __future__ import annotations

import pytest
from editing_study import NODULE, Clock, measurement, phantom_study, study

from uvlm_core.errors import EditError, SignedError
from uvlm_core.report.editing import EditableReport


@pytest.fixture
def report():
    return EditableReport.from_study(study(), Clock())


def row_of(report, name):
    return next(row for row in report.findings if row["name"] == name)


def kinds(report, sentence=None):
    return [flag.kind for flag in (report.flags if sentence is None else report.sentence(sentence).flags)]


def underlined(report, sentence, number=0):
    flag = report.sentence(sentence).flags[number]
    return report.sentence(sentence).text[flag.start : flag.end]


@pytest.mark.parametrize("seed", [6, 8])
def test_a_fresh_report_has_the_flags_of_its_study(seed):
    content = phantom_study(seed).content
    report = EditableReport.from_study(content)
    for section in content["report"]["sections"]:
        for row in section["sentences"]:
            assert [(flag.kind, flag.message, flag.suggestion) for flag in report.sentence(row["id"]).flags] == [
                (flag["kind"], flag["message"], flag["suggestion"]) for flag in row["flags"]]
            assert set(row["segments"]) <= set(report.sentence(row["id"]).segments)
            assert list(report.sentence(row["id"]).findings) == row["findings"]
    assert [flag.message for flag in report.flags] == [flag["message"] for flag in content["report"]["flags"]]
    for row, own in zip(content["findings"], report.findings, strict=True):
        assert own == {**row, "by": "model", "generated_state": row["state"]}
    assert report.segments == content["segments"] and report.measurements == content["measurements"]


def test_a_consistent_report_has_no_flags(report):
    assert report.all_flags == ()


def test_a_contradicted_side_is_flagged_at_the_word_and_repaired(report):
    report.segment_removed("lung_nodule_2")
    report.remove_sentence("s2")
    report.edit_sentence("s1", "There is a 24 mm nodule in the Right upper lobe.")
    assert kinds(report, "s1") == ["side"] and underlined(report, "s1") == "Right"
    fixes = report.quick_fixes("s1", 0)
    assert [(fix.title, fix.text) for fix in fixes] == [
        ("Change to left", "There is a 24 mm nodule in the Left upper lobe.")]
    report.quick_fix("s1", 0)
    assert kinds(report, "s1") == [] and report.sentence("s1").segments == (NODULE,)
    report.undo()
    assert kinds(report, "s1") == ["side"]


def test_a_wrong_size_is_flagged_at_the_number_and_repaired(report):
    report.edit_sentence("s2", "A 40 mm nodule in the right lower lobe.")
    assert kinds(report, "s2") == ["size"] and underlined(report, "s2") == "40 mm"
    assert report.quick_fix("s2", 0).title == "Change to 9 mm"
    assert report.sentence("s2").text == "A 9 mm nodule in the right lower lobe." and kinds(report, "s2") == []


LUNG = ("lung_nodule", 1, "left", "left upper lobe", 24.0, 18.2)
LIVER = ("liver_lesion", 1, None, None, 20.0, 18.0)
FLUID = ("pleural_effusion", 1, "right", None, 150.0, 80.0)
NODE = ("lymphadenopathy", 1, None, None, 22.0, 12.0)


@pytest.mark.parametrize(("text", "masks", "kind", "marked", "suggestion"), [
    ("There is a 24 mm nodule in the left upper lobe and a 60 mm lesion in the liver.", (LUNG, LIVER), "size", "60 mm",
     "There is a 24 mm nodule in the left upper lobe and a 20 mm lesion in the liver."),
    ("A 12 mm nodule in the left upper lobe, 35 mm from the hilum.", (LUNG,), "size", "12 mm",
     "A 24 mm nodule in the left upper lobe, 35 mm from the hilum."),
    ("The left upper lobe nodule of formerly 24 mm measures 12 mm.", (LUNG,), "size", "12 mm",
     "The left upper lobe nodule of formerly 24 mm measures 24 mm."),
    ("A 40 x 10 mm nodule in the left upper lobe.", (LUNG,), "size", "40 x 10 mm",
     "A 24 x 18 mm nodule in the left upper lobe."),
    ("A nodule of 40 mm and 7 mm in the left upper lobe.", (LUNG,), "size", "40 mm", None),
    ("A nodule smaller than 5 mm in the left upper lobe.", (LUNG,), "size", "nodule", None),
    ("The nodule in the left upper lobe was 45 mm.", (LUNG,), "size", "nodule", None),
    ("An enlarged lymph node measuring 30 mm in short axis.", (NODE,), "size", "30 mm",
     "An enlarged lymph node measuring 12 mm in short axis."),
    ("There is a nodule in the right upper lobe and a right pleural effusion.", (LUNG, FLUID), "side", "right",
     "There is a nodule in the left upper lobe and a right pleural effusion."),
    ("There is a right pleural effusion and a nodule in the right upper lobe.", (LUNG, FLUID), "side", "right",
     "There is a right pleural effusion and a nodule in the left upper lobe."),
    ("A right lung nodule with pleural effusion.", (LUNG, FLUID), "side", "right", None),
    ("A nodule in the right lung; the right hilum is not enlarged.", (LUNG,), "side", "right",
     "A nodule in the left lung; the right hilum is not enlarged."),
    ("A nodule in the RUL.", (LUNG,), "side", "RUL", None),
    ("A nodule in the right lower lobe; the left lung is clear.", (LUNG,), "side", "right", None),
])
def test_a_repair_changes_only_what_is_the_findings_own(text, masks, kind, marked, suggestion):
    report = EditableReport.from_study(study(f"Lungs: {text}", segments=masks), Clock())
    found = [flag for flag in report.sentence("s1").flags if flag.kind in ("side", "size")]
    assert [flag.kind for flag in found] == [kind]
    assert text[found[0].start : found[0].end] == marked and found[0].suggestion == suggestion


@pytest.mark.parametrize(("text", "masks"), [
    ("An enlarged lymph node measuring 12 mm in short axis.", (NODE,)),
    ("A 24 mm nodule in the left upper lobe, 45 mm from the hilum.", (LUNG,)),
    ("A 24 mm nodule in the left upper lobe, previously 45 mm.", (LUNG,)),
])
def test_a_short_axis_a_distance_and_an_earlier_size_are_not_flagged(text, masks):
    report = EditableReport.from_study(study(f"Lungs: {text}", segments=masks), Clock())
    assert kinds(report, "s1") == []


def test_a_stale_field_hides_only_the_flag_of_its_own_number():
    text = "There is a 20 mm lesion in the liver and a 90 mm nodule in the left lung."
    report = EditableReport.from_study(study(f"Lungs: {text}", segments=(LUNG, LIVER)), Clock())
    report.apply_measurements([measurement("liver_lesion_1", "longest_diameter", 33.0)])
    assert [field.state for field in report.sentence("s1").fields] == ["stale"]
    assert kinds(report, "s1") == ["size"] and underlined(report, "s1") == "90 mm"


def test_presence_both_ways(report):
    report.edit_sentence("s3", "There is consolidation in the left lower lobe.")
    assert kinds(report, "s3") == ["presence"] and underlined(report, "s3") == "consolidation"
    assert [fix.kind for fix in report.quick_fixes("s3", 0)] == ["overrule", "remove"]
    report.quick_fix("s3", 0)
    assert kinds(report, "s3") == [] and row_of(report, "Consolidation")["state"] == "present"
    report.edit_sentence("s3", "No consolidation.")
    flag = report.sentence("s3").flags[0]
    assert "the reader says there is" in flag.message
    assert [fix.kind for fix in report.quick_fixes("s3", 0)] == ["replace", "remove", "overrule"]
    report.quick_fix("s3", 0)
    assert report.sentence("s3").text == "There is consolidation in the lung."


def test_a_negative_list_is_not_removed_as_a_whole(report):
    report.edit_sentence("s3", "No consolidation or lung nodule.")
    assert kinds(report, "s3") == ["presence"]
    assert [fix.kind for fix in report.quick_fixes("s3", 0)] == ["overrule"]


def test_what_is_missing_is_flagged_for_the_report_and_inserted(report):
    report.remove_sentence("s5")
    assert kinds(report) == []  # the impression still says it
    report.remove_sentence("s7")
    assert kinds(report) == ["missing"] and report.flags[0].start is None
    assert report.quick_fix(None, 0).text == "There is a 31 mm lesion in the liver."
    assert kinds(report) == [] and report.sections[2].sentences[-1].segments == ("liver_lesion_1",)
    report.undo()
    report.quick_fix(None, 0, 1)
    assert kinds(report) == [] and row_of(report, "Liver lesion")["state"] == "absent"


def test_overruling_a_finding_flags_what_contradicts_it(report):
    report.override_finding("Lung nodule", "absent")
    row = row_of(report, "Lung nodule")
    assert (row["state"], row["present"], row["by"], row["generated_state"]) == ("absent", False, "user", "present")
    assert [kinds(report, name) for name in ("s1", "s2", "s6")] == [["presence"]] * 3
    assert "the reader does not" in report.sentence("s1").flags[0].message
    report.override_finding("Lung nodule", "uncertain")
    assert report.all_flags == () and row_of(report, "Lung nodule")["present"] is True
    report.override_finding("Lung nodule", None)
    assert row_of(report, "Lung nodule")["by"] == "model"
    report.undo()
    assert row_of(report, "Lung nodule")["state"] == "uncertain"
    report.override_finding("Emphysema", "present")
    assert kinds(report) == ["missing"] and "The reader has marked Emphysema" in report.flags[0].message
    assert [(change.kind, change.target, change.before, change.after) for change in report.changes][:2] == [
        ("overrule_finding", "Lung nodule", "present", "absent"),
        ("overrule_finding", "Lung nodule", "absent", "uncertain")]


def test_a_finding_that_the_model_cannot_tell_can_be_said(report):
    report = EditableReport.from_study(study(Bronchiectasis="not assessed", Emphysema="not imaged"))
    report.override_finding("Bronchiectasis", "present")
    assert kinds(report) == ["missing"]
    report.insert_finding("Bronchiectasis")
    assert kinds(report) == []
    report.edit_sentence("s3", "Emphysema is seen.")
    assert kinds(report, "s3") == ["not_imaged"]
    report.override_finding("Emphysema", "present")
    assert kinds(report, "s3") == []


def test_comparisons_need_an_earlier_scan(report):
    report.edit_sentence("s1", "There is a 24 mm nodule in the left upper lobe, unchanged.")
    assert kinds(report, "s1") == ["prior"] and underlined(report, "s1") == "unchanged"
    assert [fix.kind for fix in report.quick_fixes("s1", 0)] == ["remove", "allow_prior"]
    report.quick_fix("s1", 0, 1)
    assert report.has_prior and kinds(report, "s1") == []
    report.undo()
    assert not report.has_prior and kinds(report, "s1") == ["prior"]
    report.has_prior = True
    assert report.all_flags == ()


def test_sentences_that_contradict_each_other(report):
    report.edit_sentence("s5", "The liver is unremarkable.")
    assert "presence" in kinds(report, "s5")
    place = kinds(report, "s5").index("internal")
    assert "remove" in [fix.kind for fix in report.quick_fixes("s5", place)]


def test_what_is_not_imaged_is_flagged_where_it_is_written():
    content = study()
    content["regions"] = [{**row, "coverage": "not imaged"} if row["name"] == "bones" else row
                          for row in content["regions"]]
    report = EditableReport.from_study(content)
    new = report.insert_sentence("bones", "Bones are unremarkable.")
    assert kinds(report, new) == ["not_imaged"]
    report.quick_fix(new, 0)
    assert report.all_flags == () and new not in [row.id for row in report.sentences]


def test_sentences_about_the_field_of_view_are_not_checked():
    content = study()
    row = dict(content["report"]["sections"][0]["sentences"][0], id="v1", text="Not imaged: bones, no liver lesion.")
    content["report"]["sections"].insert(3, {"name": "field_of_view", "title": "Field of view", "sentences": [row]})
    report = EditableReport.from_study(content)
    assert report.all_flags == ()


def test_a_dismissed_flag_stays_put_aside_until_the_text_says_something_else(report):
    report.edit_sentence("s2", "A 40 mm nodule in the right lower lobe.")
    report.dismiss_flag("s2", 0)
    assert [flag.dismissed for flag in report.sentence("s2").flags] == [True]
    assert report.open_points() == []
    report.edit_sentence("s2", "A solid 40 mm nodule in the right lower lobe.")
    assert [flag.dismissed for flag in report.sentence("s2").flags] == [True]
    report.edit_sentence("s2", "A solid 50 mm nodule in the right lower lobe.")
    assert [flag.dismissed for flag in report.sentence("s2").flags] == [False]
    report.edit_sentence("s2", "A 9 mm nodule in the right lower lobe.")
    report.undo()
    report.undo()
    report.undo()
    report.undo()
    assert [flag.dismissed for flag in report.sentence("s2").flags] == [False]


def test_flags_of_another_checker_stand_beside_the_own_ones_until_the_text_changes(report):
    report.edit_sentence("s3", "There is consolidation in the left lower lobe.")
    own = report.sentence("s3").flags[0]
    row = {"kind": own.kind, "message": own.message, "sentence": "s3", "finding": own.finding, "expected": own.expected,
           "found": own.found, "suggestion": own.suggestion}
    report.set_flags([row, {**row, "kind": "style", "message": "Too short."},
                      {"kind": "style", "message": "No title.", "sentence": None}])
    assert kinds(report, "s3") == ["presence", "style"] and kinds(report) == ["style"]
    text = report.to_json()
    assert EditableReport.from_json(text).to_json() == text
    report.edit_sentence("s3", "There is a consolidation in the left lower lobe.")
    assert kinds(report, "s3") == ["presence"] and kinds(report) == ["style"]
    report.set_flags([])
    assert kinds(report) == []


@pytest.mark.parametrize("call", [
    lambda report: report.quick_fix("s1", 0), lambda report: report.quick_fixes(None, 0),
    lambda report: report.dismiss_flag("s1", -1), lambda report: report.set_flags([{"kind": "x"}]),
    lambda report: report.set_flags([{"kind": "x", "message": "y", "sentence": "s99"}]),
    lambda report: report.override_finding("Dragon", "present"),
    lambda report: report.override_finding("Emphysema", "no"),
])
def test_wrong_calls_say_so_and_change_nothing(report, call):
    before = report.to_json()
    with pytest.raises(EditError) as error:
        call(report)
    assert not isinstance(error.value, SignedError) and report.to_json() == before


def test_a_quick_fix_that_is_not_there(report):
    report.edit_sentence("s2", "A 40 mm nodule in the right lower lobe.")
    with pytest.raises(EditError, match="has 1 quick fixes"):
        report.quick_fix("s2", 0, 1)
