"""Splits keep patients whole and findings in proportion; joins unite what belongs to one scan."""

from __future__ import annotations

import json
import sys
from collections import Counter

import numpy as np
import pytest
from dataset_folders import ct_rate, nnunet, radgenome, rexgroundingct

from uvlm_core.cli import main
from uvlm_core.datasets.importing import import_dataset
from uvlm_core.datasets.joining import join_tables
from uvlm_core.datasets.mapping import Mapping, read_mapping
from uvlm_core.datasets.masks import paint
from uvlm_core.datasets.scan import read_scan
from uvlm_core.datasets.splitting import patients_in_two, split_table
from uvlm_core.datasets.table import Case, read_table, write_table
from uvlm_core.errors import CaseError
from uvlm_core.labels import label_named


@pytest.fixture
def many(tmp_path):
    """300 scans of 150 patients; one finding in a third, one in 12 of the patients."""
    rng = np.random.default_rng(1)
    cases = []
    for patient in range(150):
        common, rare = int(rng.random() < 1 / 3), int(patient < 12)
        cases += [Case(f"c{patient}_{scan}", "x.nii.gz", f"p{patient}", source="ab"[patient % 2],
                       findings={"Lung nodule": common, "Hiatal hernia": rare}) for scan in range(2)]
    return write_table(tmp_path / "cases.csv", cases)


def shares(cases, name, column="split"):
    count = Counter(getattr(case, column) for case in cases if case.findings.get(name))
    return {value: number / sum(count.values()) for value, number in count.items()}


def test_patients_stay_whole_and_findings_in_proportion(many):
    cases = split_table(many, validation=0.2, test=0.2)
    assert patients_in_two(cases) == {}
    assert Counter(case.split for case in cases) == {"train": 180, "validation": 60, "test": 60}
    for name in ("Lung nodule", "Hiatal hernia"):
        found = shares(cases, name)
        assert abs(found["train"] - 0.6) < 0.11 and min(found.values()) > 0.1
    assert read_table(many).cases == cases


def test_the_seed_decides_and_the_order_of_rows_does_not(many, tmp_path):
    first = {case.case_id: case.split for case in split_table(many, tmp_path / "a.csv", seed=3)}
    write_table(tmp_path / "turned.csv", read_table(many).cases[::-1])
    turned = {case.case_id: case.split for case in split_table(tmp_path / "turned.csv", seed=3)}
    other = {case.case_id: case.split for case in split_table(many, tmp_path / "b.csv", seed=4)}
    assert first == turned and first != other
    assert all(case.split == "" for case in read_table(many).cases)  # another table was asked for


@pytest.mark.parametrize("out", ["splits/a.csv", "data/a.csv", "same.csv"])
def test_a_split_in_another_folder_leads_to_the_same_files(out, tmp_path):
    rows = [Case("x", "x.nii.gz", root="data"), Case("y", "data/y.nii.gz"), Case("z", "z.nii.gz", root="../beside")]
    table = read_table(write_table(tmp_path / "cases.csv", rows))
    cases = split_table(tmp_path / "cases.csv", tmp_path / out, validation=0.5, test=0)
    written = read_table(tmp_path / out)
    assert written.cases == cases
    for before, after in zip(table.cases, written.cases, strict=True):
        assert written.path(after, after.image) == table.path(before, before.image)
    if out == "same.csv":  # table and data may be moved together
        assert [case.root for case in cases] == [case.root for case in rows]


def test_what_is_split_stays_unless_everything_is_split_anew(many):
    cases = read_table(many).cases
    for case in cases[:100]:
        case.split = "test"
    write_table(many, cases)
    kept = split_table(many, validation=0.1, test=0.1)
    assert all(case.split == "test" for case in kept[:100])
    assert Counter(case.split for case in kept)["test"] == 100  # there are more than enough already
    again = split_table(many, validation=0.1, test=0.1, again=True)
    assert Counter(case.split for case in again) == {"train": 240, "validation": 30, "test": 30}


def test_a_scan_of_a_known_patient_follows_the_patient(many):
    cases = read_table(many).cases
    cases[0].split = "validation"
    write_table(many, cases)
    assert split_table(many)[1].split == "validation"


def test_a_part_that_the_data_set_does_not_have_is_taken_from_train(many, tmp_path):
    """AbdomenAtlas comes with train and test: without validation nothing could be judged while training."""
    cases = read_table(many).cases
    for case in cases:
        case.split = "test" if int(case.patient[1:]) % 3 == 0 else "train"
    write_table(many, cases)
    told = []
    filled = split_table(many, tmp_path / "a.csv", validation=0.2, test=0.2, seed=2, notify=told.append)
    assert Counter(case.split for case in filled) == {"train": 150, "validation": 50, "test": 100}
    assert all((case.split == "test") == (before.split == "test")
               for case, before in zip(filled, cases, strict=True)) and patients_in_two(filled) == {}
    assert told == ["No case was left for validation; it got 25 of the 100 patients of train."]
    assert abs(shares(filled, "Lung nodule")["validation"] - 1 / 6) < 0.05
    write_table(tmp_path / "turned.csv", cases[::-1])
    turned = split_table(tmp_path / "turned.csv", validation=0.2, test=0.2, seed=2)
    assert {case.case_id: case.split for case in turned} == {case.case_id: case.split for case in filled}
    assert split_table(tmp_path / "a.csv", validation=0.2, test=0.2, seed=2, notify=told.append) == filled
    assert len(told) == 1 and {case.split for case in split_table(many, validation=0)} == {"train", "test"}


@pytest.mark.parametrize(("patients", "validation", "test", "found"), [
    (3, 0.1, 0.1, {"train": 1, "validation": 1, "test": 1}), (2, 0.9, 0, {"train": 1, "validation": 1}),
    (3, 0.6, 0.3, {"train": 1, "validation": 1, "test": 1}), (2, 0.1, 0.1, {"train": 1, "validation": 1}),
    (1, 0.1, 0.1, {"train": 1}), (49, 0.01, 0.01, {"train": 47, "validation": 1, "test": 1})])
def test_of_few_patients_train_keeps_one(patients, validation, test, found, tmp_path):
    path = write_table(tmp_path / "few.csv", [Case(f"c{n}", "x", split="train") for n in range(patients)])
    told = []
    assert Counter(case.split for case in split_table(path, None, validation, test, notify=told.append)) == found
    assert len(told) == sum(share > 0 for share in (validation, test))


def test_folds_cover_all_but_the_test_patients(many):
    cases = split_table(many, validation=0, test=0.2, folds=4)
    assert {case.fold for case in cases if case.split == "test"} == {None}
    folds = Counter(case.fold for case in cases if case.split == "train")
    assert set(folds) == {0, 1, 2, 3} and max(folds.values()) - min(folds.values()) <= 2
    assert patients_in_two(cases, "fold") == {} and min(shares(cases, "Hiatal hernia", "fold").values()) > 0


def test_patients_in_two_splits_are_refused_by_name(many):
    cases = read_table(many).cases
    cases[0].split, cases[1].split = "train", "test"
    write_table(many, cases)
    with pytest.raises(CaseError, match=r"p0.*--again"):
        split_table(many)


@pytest.mark.parametrize("options", [{"validation": 0.6, "test": 0.5}, {"test": -0.1}, {"folds": 1}, {"seed": -1}])
def test_impossible_shares(many, options):
    with pytest.raises(CaseError):
        split_table(many, **options)


def test_a_handful_of_patients_is_shared_out(tmp_path):
    path = write_table(tmp_path / "few.csv", [Case(f"c{n}", "x", findings={"Lung nodule": 1}) for n in range(4)])
    cases = split_table(path, validation=0.25, test=0.25)
    assert Counter(case.split for case in cases) == {"train": 2, "validation": 1, "test": 1}


def test_scan_masks_and_text_of_three_sets_become_one_case(tmp_path):
    tables = []
    for kind, build in (("ct-rate", ct_rate), ("rexgroundingct", rexgroundingct), ("radgenome-chestct", radgenome)):
        import_dataset(kind, build(tmp_path / kind), tmp_path / f"{kind}.csv")
        tables.append(tmp_path / f"{kind}.csv")
    for order in (tables, tables[::-1]):
        (tmp_path / "out").mkdir(exist_ok=True)
        join_tables(order, tmp_path / "out" / "all.csv")
        table = read_table(tmp_path / "out" / "all.csv")
        case = next(case for case in table.cases if case.case_id == "train_1_a_1")
        assert set(case.source.split("+")) == {"ct-rate", "rexgroundingct", "radgenome-chestct"}
        target = paint(table, case, read_scan(table, case), Mapping())
        assert {"heart", "esophagus"} <= set(target.known) and "lung_nodule" not in target.known
        for name in ("heart", "consolidation", "lung_nodule"):
            assert (target.map == label_named(name).id).any(), name
        assert case.findings["Lung nodule"] == (0 if order is tables else 1)  # the first table's word
        assert case.report.startswith("Findings: There is" if order is tables else "Findings: The heart")


@pytest.mark.parametrize("given", ["with the join", "after it"])
def test_rules_for_a_source_hold_after_it_was_joined(given, tmp_path):
    rules = {"labels": {"radgenome-chestct": {"heart": None, "Herd": "lung_nodule"}, "*": {"Herd": "consolidation"}},
             "partly": {"radgenome-chestct": ["aorta"]}}
    (tmp_path / "names.json").write_text(json.dumps(rules), "utf-8")
    mapping = read_mapping(tmp_path / "names.json")
    masks = Case("c", source="radgenome-chestct", masks={name: ["m"] for name in ("heart", "Herd", "aorta", "liver")})
    write_table(tmp_path / "scans.csv", [Case("c", "x.nii.gz", source="ct-rate")])
    write_table(tmp_path / "masks.csv", [masks])
    join_tables([tmp_path / "scans.csv", tmp_path / "masks.csv"], tmp_path / "all.csv",
                mapping if given == "with the join" else None)
    case, = read_table(tmp_path / "all.csv").cases
    assert case.source == "ct-rate+radgenome-chestct"
    meant = {mapping.label(name, case.source) for name in case.masks}
    assert meant == {None, "lung_nodule", "aorta", "liver"}
    assert mapping.annotated(case) == mapping.annotated(masks) == ["liver", "lung_nodule"]


def test_what_one_source_draws_whole_stays_known_beside_a_source_that_draws_a_part(tmp_path):
    write_table(tmp_path / "a.csv", [Case("c", "x.nii.gz", source="ours", masks={"bowel": ["a.nii.gz"]})])
    write_table(tmp_path / "b.csv", [Case("c", source="amos22", masks={"duodenum": ["b.nii.gz"]})])
    join_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "c.csv")
    assert Mapping().annotated(read_table(tmp_path / "c.csv").cases[0]) == ["bowel"]


def test_a_name_that_means_something_else_in_the_joined_row_is_told(tmp_path):
    mapping = Mapping({"labels": {"theirs": {"heart": None}}})
    write_table(tmp_path / "a.csv", [Case("c", "x.nii.gz", source="ours", masks={"heart": ["a.nii.gz"]})])
    write_table(tmp_path / "b.csv", [Case("c", source="theirs", masks={"heart": ["b.nii.gz"]})])
    _, problems = join_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "c.csv", mapping)
    assert [(problem.kind, problem.message.partition(" by ")[0]) for problem in problems] == [
        ("contradiction", "heart of ours means heart, but nothing")]


def test_masks_are_found_whether_they_lie_beside_the_table_or_elsewhere(tmp_path):
    (tmp_path / "work").mkdir()
    write_table(tmp_path / "work" / "a.csv", [Case("c", "x.nii.gz", root=(tmp_path / "far").as_posix())])
    write_table(tmp_path / "work" / "b.csv", [Case("c", root="near", masks={"liver": ["m.nii.gz#1"]})])
    for tables in (["a.csv", "b.csv"], ["b.csv", "a.csv"]):
        join_tables([tmp_path / "work" / name for name in tables], tmp_path / "work" / "c.csv")
        table = read_table(tmp_path / "work" / "c.csv")
        case, = table.cases
        assert table.path(case, case.image) == tmp_path / "far" / "x.nii.gz"
        assert table.path(case, case.masks["liver"][0]) == tmp_path / "work" / "near" / "m.nii.gz"


def test_contradictions_are_named(tmp_path):
    write_table(tmp_path / "a.csv", [Case("c", "x.nii.gz", "p", split="train", findings={"Emphysema": 1})])
    write_table(tmp_path / "b.csv", [Case("c", "", "q", split="test", findings={"Emphysema": 0})])
    cases, problems = join_tables([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "c.csv")
    assert len(cases) == 1 and cases[0].patient_id == "p" and len(problems) == 3
    assert any("split is 'train' in one table and 'test' in another" in problem.message for problem in problems)


def test_two_label_maps_of_one_scan_are_refused(tmp_path):
    import_dataset("nnunet", nnunet(tmp_path / "set"), tmp_path / "a.csv")
    with pytest.raises(CaseError, match="label map in two tables"):
        join_tables([tmp_path / "a.csv", tmp_path / "a.csv"], tmp_path / "b.csv")


def run(monkeypatch, capsys, *arguments) -> tuple[int, str]:
    monkeypatch.setattr(sys, "argv", ["uvlm", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    captured = capsys.readouterr()
    return end.value.code, captured.out + captured.err


def test_the_commands_one_after_the_other(tmp_path, monkeypatch, capsys):
    folder = nnunet(tmp_path / "set")
    names = tmp_path / "names.json"
    names.write_text(json.dumps({"labels": {"nnunet": {"liver_tumor": "liver_lesion"}}}), "utf-8")
    assert read_mapping(names).label("liver_tumor", "nnunet") == "liver_lesion"
    steps = [(("guess", folder), "nnunet"),
             (("import", "auto", folder, "-o", tmp_path / "cases.csv"), "3 cases (nnunet)"),
             (("join", tmp_path / "cases.csv", "-o", tmp_path / "all.csv", "--mapping", names), "3 cases"),
             (("split", tmp_path / "all.csv", "--folds", 2), "patients"),
             (("check", tmp_path / "all.csv", "-o", tmp_path / "checked", "--mapping", names), "check.html"),
             (("prepare", tmp_path / "all.csv", "-o", tmp_path / "store", "--estimate"), "are free"),
             (("prepare", tmp_path / "all.csv", "-o", tmp_path / "store"), "3 cases prepared, 0 were there, 0 failed"),
             (("prepare", tmp_path / "all.csv", "-o", tmp_path / "store"), "0 cases prepared, 3 were there")]
    for arguments, words in steps:
        code, told = run(monkeypatch, capsys, "dataset", *arguments)
        assert code == 0 and words in told, told
    assert not (tmp_path / "store" / "failed.csv").exists()


@pytest.mark.parametrize(("arguments", "words"), [
    (("import", "ct-rates", ".", "-o", "t.csv"), "no importer 'ct-rates'"),
    (("import", "auto", "absent", "-o", "t.csv"), "no folder"),
    (("import", "nnunet", ".", "-o", "t.csv", "--on-error", "maybe"), "stop or skip"),
    (("check", "absent.csv", "-o", "x"), "absent.csv"), (("split", "absent.csv"), "absent.csv"),
    (("prepare", "absent.csv", "-o", "x"), "absent.csv"),
    (("prepare", "absent.csv", "-o", "x", "--model", "huge"), "huge"),
    (("join", "absent.csv", "-o", "x.csv"), "absent.csv"), (("guess", "."), "no scans")])
def test_wrong_arguments_are_sentences(arguments, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code, told = run(monkeypatch, capsys, "dataset", *arguments)
    assert code == 2 and words in told and "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
