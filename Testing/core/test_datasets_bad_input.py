"""What must be named and skipped or refused, never silently used: in every importer, in check and in prepare."""

from __future__ import annotations

import errno
import json
import os
import resource
import sys
from contextlib import contextmanager
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dataset_folders import BUILDERS, ct_rate, kept_cases, phantom, plain_folder, scan, table, totalsegmentator

from uvlm_core.cli import main
from uvlm_core.datasets.checking import check_table
from uvlm_core.datasets.csv_file import read_rows
from uvlm_core.datasets.importing import import_dataset
from uvlm_core.datasets.preparing import prepare_table
from uvlm_core.datasets.table import Case, read_table, write_table
from uvlm_core.errors import CaseError
from uvlm_core.model.config import preset
from uvlm_core.training.prepare import prepare

WITH_SCANS = [kind for kind in BUILDERS if kind not in ("rexgroundingct", "radgenome-chestct")]  # the others bring none
GRID = preset("demo").grid


def built(kind, tmp_path):
    if kind == "released-tables":
        pytest.importorskip("blosc2")
    return BUILDERS[kind](tmp_path / "set")


def first_file(kind, tmp_path, name):
    """(table file of the whole set, first case, path of its `image` or of its first mask)."""
    import_dataset(kind, built(kind, tmp_path), tmp_path / "whole.csv")
    whole = read_table(tmp_path / "whole.csv")
    case = next(case for case in whole.cases if (case.image if name == "image" else case.has_masks))
    file = case.image if name == "image" else case.labels or next(iter(case.masks.values()))[0]
    return case, whole.path(case, file)


def refused_and_skipped(kind, tmp_path, case_id, words, verify=False):
    """With stop the import is refused and no table is written; with skip the case is left out and listed."""
    out = tmp_path / "cases.csv"
    with pytest.raises(CaseError, match=words) as refusal:
        import_dataset(kind, tmp_path / "set", out, "stop", verify=verify)
    assert "--on-error skip" in str(refusal.value) and not out.exists()
    try:
        cases, problems = import_dataset(kind, tmp_path / "set", out, "skip", verify=verify)
    except CaseError as error:  # there was only this one
        assert "Nothing of" in str(error)
        return
    assert case_id not in {case.case_id for case in cases}
    assert case_id in {problem.case_id for problem in problems if problem.severity == "error"}
    assert case_id in (tmp_path / "cases_problems.csv").read_text("utf-8")


@pytest.mark.parametrize("kind", WITH_SCANS)
def test_a_truncated_scan(kind, tmp_path):
    case, path = first_file(kind, tmp_path, "image")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    refused_and_skipped(kind, tmp_path, case.case_id, "cut off|damaged|unpack", verify=True)


@pytest.mark.parametrize("kind", WITH_SCANS)
def test_an_empty_scan_is_seen_without_reading_it_through(kind, tmp_path):
    case, path = first_file(kind, tmp_path, "image")
    path.write_bytes(b"")
    refused_and_skipped(kind, tmp_path, case.case_id, "0 bytes")


@pytest.mark.parametrize("kind", [kind for kind in WITH_SCANS if kind not in ("ct-rate", "released-tables")])
def test_a_mask_of_another_shape(kind, tmp_path):
    case, path = first_file(kind, tmp_path, "mask")
    small = np.zeros((9, 8, 7), np.uint8)
    nibabel.save(nibabel.Nifti1Image(small, np.diag([6, 6, 8, 1.0])), path)
    refused_and_skipped(kind, tmp_path, case.case_id, "they must agree", verify=True)


@pytest.mark.parametrize("kind", [kind for kind in WITH_SCANS if kind != "released-tables"])
def test_a_volume_with_nan(kind, tmp_path):
    case, path = first_file(kind, tmp_path, "image")
    values = phantom().volume.array.astype(np.float32).transpose(2, 1, 0).copy()
    values[3, 4, 5] = np.nan
    nibabel.save(nibabel.Nifti1Image(values, phantom().volume.ijk_to_ras), path)
    refused_and_skipped(kind, tmp_path, case.case_id, "not numbers", verify=True)


@pytest.mark.parametrize("kind", ["totalsegmentator", "abdomen-atlas", "kept-cases", "phantoms", "released-tables"])
def test_a_missing_scan(kind, tmp_path):
    case, path = first_file(kind, tmp_path, "image")
    path.unlink()
    refused_and_skipped(kind, tmp_path, case.case_id, "missing|no ct.nii.gz|not there")


@pytest.mark.parametrize(("kind", "file", "rows"), [
    ("ct-rate", "dataset/radiology_text_reports/train_reports.csv", [{"Volume": "a", "Text": "b"}]),
    ("ct-rate", "dataset/multi_abnormality_labels/valid_predicted_labels.csv", [{"name": "a"}]),
    ("radgenome-chestct", "dataset/radgenome_files/train_region_report.csv", [{"Volumename": "a", "Region": "b"}]),
    ("abdomen-atlas", "AbdomenAtlas3.0MiniWithMeta.csv", [{"identifier": "a"}]),
    ("totalsegmentator", "meta.csv", [{"id": "s0000"}]),
    ("phantoms", "cases.csv", [{"case": "a", "picture": "b"}]),
])
def test_a_csv_with_other_columns_is_refused_with_both_names(kind, file, rows, tmp_path):
    path = table(built(kind, tmp_path) / file, rows)
    with pytest.raises(CaseError, match="lacks the column") as refusal:
        import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "skip")
    assert path.name in str(refusal.value) and next(iter(rows[0])) in str(refusal.value)


@pytest.mark.parametrize(("kind", "file"), [
    ("ct-rate", "dataset/multi_abnormality_labels/train_predicted_labels.csv"), ("phantoms", "cases.csv"),
    ("released-tables", "report.csv"), ("plain-folder", "list.csv")])
def test_a_label_that_is_neither_0_nor_1(kind, file, tmp_path):
    path = built(kind, tmp_path) / file
    rows = read_rows(path)
    rows[0]["Nodule" if "Nodule" in rows[0] else "Lung nodule"] = "2"
    table(path, rows)
    with pytest.raises(CaseError, match="expected 0, 1 or nothing"):
        import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "stop")
    cases, problems = import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "skip")
    named = next(problem for problem in problems if problem.kind == "label")
    case = next(case for case in cases if case.case_id == named.case_id)  # it stays, the finding is not known
    assert "Lung nodule" not in case.findings


@pytest.mark.parametrize(("kind", "file", "changes", "words"), [
    ("plain-folder", "list.csv", {"patient": "other"}, "patient is 'p2' in list.csv row 2 and 'other' in .* row 4"),
    ("plain-folder", "list.csv", {"Nodule": "0"}, "Nodule is '1' in .* row 2 and '0' in .* row 4"),
    ("ct-rate", "dataset/radiology_text_reports/train_reports.csv", {"Findings_EN": "Normal.", "Impressions_EN": "No."},
     "Findings_EN is 'There is consolidation in the right uppe…' in .* row 2 and 'Normal.' in .* row 3"),
    ("ct-rate", "dataset/multi_abnormality_labels/train_predicted_labels.csv", {"Consolidation": "0"},
     "Consolidation is '1' in .* row 2 and '0' in .* row 4"),
    ("abdomen-atlas", "AbdomenAtlas3.0MiniWithMeta.csv", {"structured report": "Liver: Lesion."},
     "structured report is 'Liver: No lesion. Kidney: Normal.' in .* row 2 and 'Liver: Lesion.' in .* row 4"),
    ("totalsegmentator", "meta.csv", {"split": "test"}, "split is 'train' in .* row 2 and 'test' in .* row 4")])
def test_rows_that_contradict_each_other_are_named_and_neither_is_taken(kind, file, changes, words, tmp_path):
    path = built(kind, tmp_path) / file
    rows = read_rows(path)
    whole, _ = import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv")
    table(path, [*rows, rows[0]])  # said twice
    assert import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv")[0] == whole
    table(path, [*rows, {**rows[0], **changes}])
    with pytest.raises(CaseError, match=words):
        import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "stop")
    cases, problems = import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "skip")
    about = {problem.case_id for problem in problems if problem.kind == "contradiction"}
    assert len(cases) == len(whole) and about
    for case, before in zip(cases, whole, strict=True):
        lost = [name for name in ("patient_id", "report", "findings", "split")
                if getattr(case, name) != getattr(before, name)]
        assert len(lost) == (case.case_id in about)
        assert all(not getattr(case, name) or set(case.findings) < set(before.findings) for name in lost)


def test_several_tables_of_one_scan_complete_each_other(tmp_path):
    folder = plain_folder(tmp_path / "set")
    table(folder / "more.csv", [{"file": "second.nii.gz", "Patient": "", "age": "54", "lesion": "1"},
                                {"file": "second.nii.gz", "Patient": "p2", "age": "54.0", "lesion": "2"}])
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    second = next(case for case in cases if case.case_id == "second")
    assert (second.patient_id, second.age, second.findings) == ("p2", 54, {"Lung nodule": 1})
    assert "contradiction" not in {problem.kind for problem in problems}


@pytest.mark.parametrize(("first", "second", "same"), [
    ({"sex": "M"}, {"sex": "male"}, True), ({"Gender": "f"}, {"gender": "F"}, True),
    ({"sex": "F"}, {"sex": "M"}, False), ({"sex": "unclear"}, {"sex": "X"}, False),
    ({"age": "54"}, {"age": "054Y"}, True), ({"age": "1"}, {"age": "012M"}, True),
    ({"age": "0"}, {"age": "000Y"}, True), ({"age": "54"}, {"age": "45"}, False),
    ({"split": "val"}, {"split": "Validation"}, True), ({"split": "test"}, {"split": "val"}, False),
    ({"Nodule": "1"}, {"Nodule": "true"}, True), ({"Nodule": "0"}, {"Nodule": "true"}, False)])
def test_cells_that_mean_the_same_do_not_contradict_each_other(first, second, same, tmp_path):
    scan(tmp_path / "set" / "ct.nii.gz")
    for name, row in (("one", first), ("two", second)):
        table(tmp_path / "set" / f"{name}.csv", [{"file": "ct.nii.gz", **row}])
    (case,), problems = import_dataset("plain-folder", tmp_path / "set", tmp_path / "cases.csv", "skip")
    assert ("contradiction" not in {problem.kind for problem in problems}) == same
    assert ((case.sex, case.age, case.split, case.findings) != ("", None, "", {})) == same


def test_a_missing_report_is_named_and_no_reason_to_refuse(tmp_path):
    folder = ct_rate(tmp_path / "set")
    (folder / "dataset" / "radiology_text_reports" / "train_reports.csv").unlink()
    cases, problems = import_dataset("ct-rate", folder, tmp_path / "cases.csv", "stop")
    assert {problem.case_id for problem in problems if problem.kind == "no report"} >= {"train_1_a_1", "train_1_a_2"}
    assert all(case.report == "" for case in cases)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": "other/1"}', '{"schema": "uvlm-kept-case/1"}'])
def test_a_kept_case_with_a_damaged_case_json(content, tmp_path):
    folder = kept_cases(tmp_path / "set")
    (folder / "a-signed" / "case.json").write_text(content, "utf-8")
    refused_and_skipped("kept-cases", tmp_path, "a-signed", "a-signed")


def test_two_scans_of_one_name(tmp_path):
    folder = tmp_path / "set"
    for name in ("a/b_c", "a_b/c"):
        scan(folder / name / "ct.nii.gz")
    with pytest.raises(CaseError, match="two scans have this name"):
        import_dataset("plain-folder", folder, tmp_path / "cases.csv", "stop")
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv", "skip")
    errors = {problem.case_id for problem in problems if problem.severity == "error"}
    assert len(cases) == 1 and errors == {"a_b_c_ct.nii.gz"}


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="no folder that nobody can write to")
@pytest.mark.parametrize("command", ["import", "check", "prepare", "split"])
def test_a_read_only_disk(command, tmp_path, monkeypatch, capsys):
    import_dataset("totalsegmentator", totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    arguments = {"import": ["totalsegmentator", str(tmp_path / "set"), "-o", "/sys/kernel/cases.csv"],
                 "check": [str(tmp_path / "cases.csv"), "-o", "/sys/kernel/checked"],
                 "prepare": [str(tmp_path / "cases.csv"), "-o", "/sys/kernel/store"],
                 "split": [str(tmp_path / "cases.csv"), "-o", "/sys/kernel/cases.csv"]}[command]
    code, told = run(monkeypatch, capsys, "dataset", command, *arguments)
    assert code == 2 and ("cannot be written" in told or "will not fit" in told) and "Traceback" not in told


def run(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["uvlm", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    return end.value.code, captured.out + captured.err


@contextmanager
def full_disk(count: int = 4096):
    """The system refuses to write more than a few kilobytes into a file, as a full disk does.

    Only within the block: pytest itself writes what it prints into a file where its output is redirected.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (count, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("on_error", ["skip", "stop"])
def test_a_full_disk_ends_prepare_at_once_and_leaves_nothing_half_written(on_error, packed, tmp_path, monkeypatch):
    if not packed:
        monkeypatch.setattr("uvlm_core.datasets.preparing.has_blosc", lambda: False)
    import_dataset("totalsegmentator", totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    with full_disk(), pytest.raises(CaseError, match="cannot be written"):
        prepare_table(tmp_path / "cases.csv", tmp_path / "store", GRID, on_error=on_error)
    assert list((tmp_path / "store" / "cases").iterdir()) == []


@pytest.mark.parametrize("on_error", ["skip", "stop"])
def test_a_full_disk_ends_a_training_that_puts_its_cases_on_the_grid(on_error, tmp_path, capsys):
    import_dataset("totalsegmentator", totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    source = {"name": "set", "kind": "table", "path": str(tmp_path / "cases.csv"), "on_error": on_error}
    with full_disk(), pytest.raises(CaseError, match="s0000 cannot be written: File too large"):
        prepare([source], GRID, tmp_path / "cases", None)
    assert list((tmp_path / "cases").iterdir()) == [] and "left out" not in capsys.readouterr().err


def test_prepare_goes_on_when_there_is_space_again(tmp_path):
    import_dataset("totalsegmentator", totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    with full_disk(), pytest.raises(CaseError):
        prepare_table(tmp_path / "cases.csv", tmp_path / "store", GRID)
    assert prepare_table(tmp_path / "cases.csv", tmp_path / "store", GRID).made == 2


def test_a_full_disk_while_checking_or_writing_a_table(tmp_path, monkeypatch):
    import_dataset("totalsegmentator", totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    before = (tmp_path / "cases.csv").read_bytes()
    with full_disk(512), pytest.raises(CaseError, match="cannot be written"):
        check_table(tmp_path / "cases.csv", tmp_path / "checked")
    with full_disk(512), pytest.raises(CaseError, match="cannot be written"):
        write_table(tmp_path / "cases.csv", [Case("a", "a.nii.gz", report="long " * 500)])
    assert (tmp_path / "cases.csv").read_bytes() == before
    assert not list(tmp_path.glob("*.writing")) and not list(tmp_path.glob(".*.writing"))

    def no_space(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(CaseError, match="No space left"):
        write_table(tmp_path / "cases.csv", [Case("a", "a.nii.gz")])


def test_one_broken_file_does_not_stop_the_others(tmp_path):
    import_dataset("totalsegmentator", folder := totalsegmentator(tmp_path / "set"), tmp_path / "cases.csv")
    (folder / "s0000" / "ct.nii.gz").write_bytes((folder / "s0000" / "ct.nii.gz").read_bytes()[:5000])
    done = prepare_table(tmp_path / "cases.csv", tmp_path / "store", GRID, on_error="skip")
    assert (done.made, [problem.case_id for problem in done.problems]) == (1, ["s0000"])
    assert "s0000" in (tmp_path / "store" / "failed.csv").read_text("utf-8")
    with pytest.raises(CaseError, match="s0000"):
        prepare_table(tmp_path / "cases.csv", tmp_path / "store", GRID, on_error="stop")
    problems = check_table(tmp_path / "cases.csv", tmp_path / "checked")
    assert [(row.case_id, row.kind) for row in problems if row.severity == "error"] == [("s0000", "unreadable")]


@pytest.mark.parametrize(("kind", "file", "content", "words"), [
    ("nnunet", "dataset.json", {"labels": ["background", "liver"]}, "background.*expected are names and values"),
    ("nnunet", "dataset.json", {"labels": {"liver": "organ"}}, "'organ'.*expected are names and values"),
    ("nnunet", "dataset.json", {"labels": {"liver": {"value": 1}}}, "'liver'.*expected are names and values"),
    ("nnunet", "dataset.json", {"labels": {"liver": 1}, "channel_names": ["CT"]}, r"\['CT'\]"),
    ("nnunet", "splits_final.json", ["case_1"], "case_1.*expected are folds"),
    ("amos22", "dataset.json", {"name": "AMOS", "labels": ["liver"]}, "expected are names and values"),
    ("rexgroundingct", "dataset.json", {"train": 5}, "lists named train")])
def test_foreign_json_is_refused_in_a_sentence(kind, file, content, words, tmp_path, monkeypatch, capsys):
    (built(kind, tmp_path) / file).write_text(json.dumps(content), "utf-8")
    with pytest.raises(CaseError, match=words):
        import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv", "skip")
    code, told = run(monkeypatch, capsys, "dataset", "guess", tmp_path / "set")
    assert code in (0, 2) and "Traceback" not in told


@pytest.mark.parametrize(("entry", "case_id", "words"), [
    ("train_1_a_2.nii.gz", "", "no name or findings"), (None, "", "no name or findings"),
    ({"name": "train_1_a_2.nii.gz", "findings": {"a": "A nodule"}}, "train_1_a_2", "the numbers a")])
def test_an_entry_of_rexgroundingct_that_is_none_is_left_out(entry, case_id, words, tmp_path):
    path = built("rexgroundingct", tmp_path) / "dataset.json"
    content = json.loads(path.read_text("utf-8"))
    content["train"].append(entry)
    path.write_text(json.dumps(content), "utf-8")
    with pytest.raises(CaseError, match=words):
        import_dataset("rexgroundingct", tmp_path / "set", tmp_path / "cases.csv", "stop")
    cases, problems = import_dataset("rexgroundingct", tmp_path / "set", tmp_path / "cases.csv", "skip")
    assert [case.case_id for case in cases] == ["train_1_a_1"]
    assert [(problem.case_id, problem.kind) for problem in problems if problem.severity == "error"] == [
        (case_id, "entry")]


def test_dataset_json_that_is_none(tmp_path):
    folder = built("nnunet", tmp_path)
    (folder / "dataset.json").write_text(json.dumps({"labels": {}}), "utf-8")
    with pytest.raises(CaseError, match="no labels"):
        import_dataset("nnunet", folder, tmp_path / "cases.csv")
    (folder / "dataset.json").write_text("{", "utf-8")
    with pytest.raises(CaseError, match="not sound JSON"):
        import_dataset("nnunet", folder, tmp_path / "cases.csv")
