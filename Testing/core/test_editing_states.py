"""Draft, signed, addendum; the report as JSON, exact and guarded."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime

import pytest
from dataset_folders import kept_cases
from editing_study import NODULE, Clock, measurement, phantom_study, study

from uvlm_core.datasets.importers.kept_cases import cases
from uvlm_core.datasets.layout import ImportOptions
from uvlm_core.errors import EditError, SignedError
from uvlm_core.report.editing import EditableReport, training_text
from uvlm_core.report.editing.states import OpenPoint
from uvlm_core.report.labeler import label_report


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def report(clock):
    return EditableReport.from_study(study(), clock)


EDITS = [
    lambda report: report.replace_range(10, 0, "x"), lambda report: report.edit_sentence("s1", "x"),
    lambda report: report.insert_sentence("lungs", "x"), lambda report: report.insert_sentence("pleura", "x"),
    lambda report: report.remove_sentence("s1"), lambda report: report.move_sentence("s1", "heart"),
    lambda report: report.link_sentence("s1", []), lambda report: report.insert_normal_sentence("pleura"),
    lambda report: report.insert_finding("Emphysema"), lambda report: report.accept_field("s1", 0),
    lambda report: report.insert_measurement("s1", 2, NODULE, "volume"), lambda report: report.dismiss_field("s1", 0),
    lambda report: report.override_finding("Emphysema", "present"), lambda report: setattr(report, "has_prior", True),
    lambda report: report.dismiss_flag("s3", 0), lambda report: report.quick_fix("s3", 0),
    lambda report: report.sign("Dr B"), lambda report: report.move_sentence("s1", "pleura"),
]


def test_signing_keeps_the_text_and_lists_what_is_open(report, clock):
    report.edit_sentence("s3", "Consolidation in the left lower lobe.")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 17.0)])
    row = next(row for row in report.segments if row["id"] == NODULE)
    report.segment_added("Segment_1", "Lung nodule", {**row, "id": "Segment_1"})
    assert [(point.kind, point.sentence) for point in report.open_points()] == [
        ("stale", "s1"), ("presence", "s3"), ("offer", None)]
    clock.wait(60)
    signature = report.sign("Dr A ")
    assert (report.state, signature.name, signature.time) == ("signed", "Dr A", "2026-01-02T10:16:00Z")
    assert signature.text == report.text_of("signed") == report.text_of("edited")
    assert signature.text.splitlines()[0] == (
        "Lungs: There is a 24 mm nodule in the left upper lobe. A 9 mm nodule in the right lower lobe. "
        "Consolidation in the left lower lobe.")
    assert signature.sha256 == hashlib.sha256(signature.text.encode()).hexdigest()
    assert [point.kind for point in signature.open_points] == ["stale", "presence", "offer"]
    assert report.changes[-1].kind == "sign" and not report.can_undo and report.undo() is None
    assert report.editable_sections == ()


@pytest.mark.parametrize("call", EDITS)
def test_a_signed_report_refuses_every_change(report, call):
    report.edit_sentence("s3", "Consolidation in the left lower lobe.")
    report.sign("Dr A")
    before = report.to_json()
    with pytest.raises(SignedError, match=r"signed by Dr A on 2026-01-02T10:15:00Z.*addendum"):
        call(report)
    assert report.to_json() == before


def test_masks_may_change_after_signing_but_the_text_does_not(report):
    report.sign("Dr A")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 12.0)])
    report.segment_removed("lung_nodule_2")
    assert report.accept_all_fields() == 0
    assert report.text_of("edited") == report.signature.text
    assert [field.new for field in report.stale_fields] == ["12 mm"]
    assert {point.kind for point in report.open_points()} == {"stale", "lost"}
    assert "Masks were changed and removed after the report was signed." in report.to_text()
    EditableReport.from_json(report.to_json())


def test_what_the_caller_knows_to_be_open_is_kept_with_the_signature(report):
    point = OpenPoint("unmeasured", "The mask 'Liver' is not measured yet.")
    signature = report.sign("Dr A", [point])
    assert signature.open_points[-1] == point
    assert EditableReport.from_json(report.to_json()).signature == signature


def test_a_finding_that_is_set_in_an_addendum_is_told_as_that(report):
    report.override_finding("Emphysema", "uncertain")
    report.sign("Dr A")
    assert "after the report was signed" not in report.to_text()
    report.start_addendum("Dr B")
    report.override_finding("Emphysema", "present")
    for export in (report.to_text(), report.to_html()):
        assert "Set by the reader after the report was signed: Emphysema." in export


def test_what_was_set_in_an_addendum_goes_when_it_is_discarded(report, clock):
    report.override_finding("Emphysema", "uncertain")
    report.edit_sentence("s3", "Consolidation in the left lower lobe.")
    report.sign("Dr A")
    row = next(row for row in report.segments if row["id"] == NODULE)
    offer = report.segment_added("Segment_1", "Liver lesion", {**row, "id": "Segment_1"})

    def said():
        return report.findings, report.has_prior, report.all_flags, report.offers, report.text_of("edited")

    before, told = said(), report.to_text()
    report.start_addendum("Dr B")
    report.override_finding("Emphysema", "absent")
    report.override_finding("Emphysema", "present")
    report.has_prior = True
    report.accept_offer(offer.id)
    report.dismiss_flag(None, 0)
    report.insert_sentence("addendum_1", "No pneumothorax.")
    assert all(now != then for now, then in zip(said(), before, strict=True))
    report = EditableReport.from_json(report.to_json(), clock)
    report.discard_addendum()
    assert said() == before and report.to_text() == told
    assert report.state == "signed" and not report.can_undo and not report.can_redo
    assert EditableReport.from_json(report.to_json(), clock).to_json() == report.to_json()


def test_a_finding_that_is_as_it_was_signed_is_not_told_as_set(report):
    report.override_finding("Emphysema", "uncertain")
    report.sign("Dr A")
    report.start_addendum("Dr B")
    report.override_finding("Emphysema", "present")
    report.override_finding("Atelectasis", "present")
    report.undo()
    assert "after the report was signed: Emphysema." in report.to_text()
    report.override_finding("Emphysema", "uncertain")
    assert "after the report was signed" not in report.to_text()
    report.override_finding("Emphysema", None)
    assert "after the report was signed: Emphysema." in report.to_text()


def test_addenda(report, clock):
    with pytest.raises(EditError, match="is a draft"):
        report.start_addendum("Dr B")
    report.sign("Dr A")
    clock.wait(3600)
    section = report.start_addendum("Dr B")
    assert (section, report.state, report.editable_sections) == ("addendum_1", "addendum", ("addendum_1",))
    with pytest.raises(EditError, match="open already"):
        report.start_addendum("Dr C")
    with pytest.raises(EditError, match="no text to sign"):
        report.sign("Dr B")
    layout = report.layout()
    assert layout.text.endswith("\nAddendum\n")
    assert report.replace_range(len(layout.text), 0, "The 24 mm nodule in the left upper lobe is solid.").as_typed
    new = report.sections[-1].sentences[0]
    assert new.segments == (NODULE,) and new.fields[0].segment == NODULE
    with pytest.raises(SignedError):
        report.edit_sentence("s1", "x")
    with pytest.raises(SignedError):
        report.replace_range(layout.span_of("s1")[0], 3, "x")
    report.apply_measurements([measurement(NODULE, "longest_diameter", 20.0)])
    assert report.accept_all_fields() == 1  # that of the addendum; the signed one stays
    report.undo()
    report.redo()
    signature = report.sign("Dr B")
    assert signature.text == "Addendum: The 20 mm nodule in the left upper lobe is solid."
    assert report.signature.name == "Dr A" and report.editable_sections == ()
    for nothing in ("-", " \n* "):
        before = report.to_json()
        with pytest.raises(EditError, match="needs a text"):
            report.add_addendum("Dr C", nothing)
        assert report.to_json() == before  # no open addendum is left behind
    second = report.add_addendum("Dr C", "Seen. No other comment.")
    assert [(row.section, row.author, row.text) for row in report.addenda] == [
        ("addendum_1", "Dr B", signature.text), (second, "Dr C", "Addendum 2: Seen. No other comment.")]
    assert report.text_of("signed").endswith("is solid.\nAddendum 2: Seen. No other comment.")
    again = EditableReport.from_json(report.to_json(), clock)
    assert again.to_json() == report.to_json() and again.addenda == report.addenda


def test_new_text_of_a_signed_report_goes_into_the_open_addendum(report):
    report.sign("Dr A")
    report.start_addendum("Dr B")
    row = next(row for row in report.segments if row["id"] == NODULE)
    offer = report.segment_added("Segment_1", "Emphysema", {**row, "id": "Segment_1"})
    for new in (report.accept_offer(offer.id), report.insert_finding("Atelectasis"),
                report.insert_normal_sentence("pleura")):
        assert report.section_of(new).name == "addendum_1"
    report.override_finding("Atelectasis", "present")
    report.discard_addendum()
    assert report.state == "signed" and [row.name for row in report.sections][-1] == "impression"
    with pytest.raises(EditError, match="No addendum"):
        report.discard_addendum()
    assert report.start_addendum("Dr B") == "addendum_1"


def test_undo_does_not_go_back_over_a_signature(report):
    report.edit_sentence("s1", "A mass.")
    report.sign("Dr A")
    report.start_addendum("Dr B")
    report.insert_sentence("addendum_1", "A word.")
    assert report.undo().kind == "insert_sentence" and report.undo() is None
    assert report.sentence("s1").text == "A mass."


@pytest.mark.parametrize("name", ["", "  ", None])
def test_signing_needs_a_name_and_a_text(report, name):
    with pytest.raises(EditError, match="name is needed"):
        report.sign(name)
    report.sign("Dr A")
    with pytest.raises(EditError, match="needs an author"):
        report.start_addendum(name)
    with pytest.raises(EditError, match="needs a text"):
        report.add_addendum("Dr B", name)
    assert report.state == "signed"


def test_nothing_is_not_signed(report):
    report.replace_range(0, len(report.layout().text), "")
    with pytest.raises(EditError, match="no text to sign"):
        report.sign("Dr A")


# ---- JSON

def busy_report(content, clock):
    """A report with a bit of everything."""
    report = EditableReport.from_study(content, clock)
    names = [sentence.id for sentence in report.sentences]
    report.edit_sentence(names[0], "Ein ü — 𝛼. Two sentences.")
    clock.wait()
    report.remove_sentence(names[1])
    report.insert_sentence("pleura", "No pneumothorax.", segments=[])
    report.override_finding("Emphysema", "uncertain")
    mask = next(row["segment"] for row in content["measurements"] if row["name"] == "longest_diameter")
    report.apply_measurements([measurement(mask, "longest_diameter", 3.5)])
    report.segment_removed(content["segments"][0]["id"])
    row = next(row for row in content["segments"] if row["id"] == mask)
    report.segment_added("Segment_1", "Lung nodule", {**row, "id": "Segment_1"})
    report.insert_finding("Atelectasis")
    report.undo()
    report.has_prior = True
    if report.all_flags:
        report.dismiss_flag(report.all_flags[0].sentence, 0)
    report.set_flags([{"kind": "style", "message": "No title."}])
    return report


@pytest.mark.parametrize("content", [study(), phantom_study(6).content], ids=["small", "phantom"])
def test_json_is_exact_both_ways(content, clock):
    report = busy_report(content, clock)
    text = report.to_json()
    assert text.isascii() and "\n" not in text and json.loads(text)["schema"] == "uvlm-report-edit/1"
    again = EditableReport.from_json(text, clock)
    assert again.to_json() == text
    for name in ("sections", "flags", "all_flags", "stale_fields", "findings", "segments", "measurements", "offers",
                 "changes", "state", "editable_sections", "has_prior", "can_undo", "can_redo", "scan", "provenance"):
        assert getattr(again, name) == getattr(report, name), name
    assert again.layout().text == report.layout().text
    assert again.differences() == report.differences()
    assert (again.to_text(), again.to_html(tracked=True)) == (report.to_text(), report.to_html(tracked=True))
    # and it goes on in the same way: new ids, undo, redo
    for one in (report, again):
        one.insert_sentence("lungs", "One more.")
        while one.can_undo:
            one.undo()
        one.redo()
    assert again.to_json() == report.to_json()


def test_equal_calls_give_equal_json():
    assert busy_report(study(), Clock()).to_json() == busy_report(study(), Clock()).to_json()


@pytest.mark.parametrize(("change", "message"), [
    (lambda values: values.update(schema="uvlm-report-edit/2"), "schema 'uvlm-report-edit/2', this version reads"),
    (lambda values: values.pop("history"), "lacks history"),
    (lambda values: values.update(extra=1), "unknown entry extra"),
    (lambda values: values["sections"][0]["sentences"][0].update(text=3), r"sections\[0\].sentences\[0\].text"),
    (lambda values: values["sections"][0]["sentences"][0].pop("id"), "lacks id"),
    (lambda values: values["sections"][0]["sentences"][1].update(id="s1"), "sentence s1 is there twice"),
    (lambda values: values["sections"].append(values["sections"][0]), "section lungs is there twice"),
    (lambda values: values["sections"][0]["sentences"][0]["ties"][0].update(end=999), "live field"),
    (lambda values: values["history"]["undo"].append(7), "can undo the change 7"),
    (lambda values: values["history"]["changes"][0].update(number=5), "has the number 5"),
    (lambda values: values["history"]["changes"][0]["patch"].update(bogus=[1, 2]), "no part of a report"),
    (lambda values: values["history"]["changes"][0]["patch"].update({"sections": [1]}), "list of two"),
    (lambda values: values.update(has_prior="no"), "true or false"),
    (lambda values: values.update(used_ids=True), "whole number"),
    (lambda values: values["facts"].update(segments=[]), "an object"),
])
def test_damaged_json_is_refused_with_its_place(report, change, message):
    report.edit_sentence("s2", "A mass.")
    values = json.loads(report.to_json())
    change(values)
    with pytest.raises(EditError, match=message):
        EditableReport.from_json(json.dumps(values))


@pytest.mark.parametrize("text", ["", "{", "null", "[]", "{}", None, json.dumps({"schema": "uvlm-study/1"})])
def test_what_is_no_report_is_refused(text):
    with pytest.raises(EditError, match="saved report"):
        EditableReport.from_json(text)


@pytest.mark.parametrize("content", [None, [], {}, {"schema": "uvlm-study/2"}])
def test_what_is_no_study_is_refused(content):
    with pytest.raises(EditError, match="uvlm-study/1 is expected"):
        EditableReport.from_study(content)


@pytest.mark.parametrize("change", [
    lambda values: values["sections"][0]["sentences"][0].update(text="There is a 94 mm nodule in the left upper lobe."),
    lambda values: values["sections"][0]["sentences"].pop(),
    lambda values: values["signature"].update(text=values["signature"]["text"].replace("24", "94")),
    lambda values: values["signature"].update(sha256="0" * 64),
    lambda values: values["sections"][-1]["sentences"][0].update(text="Nothing."),
    lambda values: values["addenda"][0]["signature"].update(text="Addendum: Nothing."),
])
def test_a_signed_text_that_was_changed_outside_is_refused(report, change):
    report.sign("Dr A")
    report.add_addendum("Dr B", "One word.")
    values = json.loads(report.to_json())
    EditableReport.from_json(json.dumps(values))
    change(values)
    with pytest.raises(EditError, match=r"signed by Dr [AB] on .* changed outside"):
        EditableReport.from_json(json.dumps(values))


def test_a_clock_without_a_zone_is_refused():
    report = EditableReport.from_study(study(), lambda: datetime(2026, 1, 1))
    with pytest.raises(EditError, match="with a zone"):
        report.edit_sentence("s1", "x")


# ---- what is kept for training

def test_training_text_of_a_draft_and_of_a_signed_report(report):
    report.override_finding("Emphysema", "uncertain")
    report.edit_sentence("s3", "No consolidation or atelectasis.")
    row = training_text(report)
    assert json.loads(json.dumps(row)) == row
    assert (row["state"], row["signed"]) == ("draft", None)
    assert "No consolidation." in row["generated"] and "atelectasis" in row["edited"]
    assert {"name": "Emphysema", "state": "uncertain", "by": "user"} in row["findings"] and len(row["findings"]) == 21
    assert [entry["kind"] for entry in row["edits"]] == ["overrule_finding", "edit_sentence"]
    assert "patch" not in row["edits"][0]
    report.sign("Dr A")
    report.add_addendum("Dr B", "One word.")
    row = training_text(report)
    assert row["state"] == "addendum" and row["signed"].endswith("Liver lesion.\nAddendum: One word.")


def test_a_signed_report_is_read_as_a_kept_case(tmp_path):
    report = EditableReport.from_study(phantom_study(8).content)
    report.override_finding("Bronchiectasis", "absent")
    report.sign("Dr A")
    assert "Field of view:" in report.signature.text
    folder = kept_cases(tmp_path / "kept")
    (folder / "a-signed" / "report.json").write_text(json.dumps(training_text(report)), "utf-8")
    case = next(case for case in cases(folder, ImportOptions()) if getattr(case, "case_id", "") == "a-signed")
    assert "Field of view:" not in case.report and case.report.startswith("Lungs: ")
    assert case.findings["Bronchiectasis"] == 0
    assert case.findings == {name: value for name, value in label_report(case.report).items()
                             if name in case.findings and name != "Bronchiectasis"} | {"Bronchiectasis": 0}


def test_the_generated_text_reads_as_the_model_wrote_it():
    content = phantom_study(8).content
    assert any(section["name"] == "field_of_view" for section in content["report"]["sections"])
    report = EditableReport.from_study(content)
    text = training_text(report)["generated"]
    assert "Field of view" not in text and "Field of view" in report.text_of("generated")
    present = {row["name"] for row in content["findings"] if row["state"] == "present"}
    assert {name for name, value in label_report(text).items() if value} >= present
