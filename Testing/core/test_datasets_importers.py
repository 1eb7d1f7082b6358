"""Every importer on a folder in the data set's own layout, with its traps, and the guess which importer fits."""

from __future__ import annotations

import json
import unicodedata

import numpy as np
import pytest
from dataset_folders import (
    BUILDERS,
    REPORT,
    abdomen_atlas,
    ct_rate,
    patient_folders,
    phantom,
    plain_folder,
    scan,
    table,
)

from uvlm_core.datasets.importing import guess, import_dataset
from uvlm_core.datasets.layout import ImportOptions, as_case_id
from uvlm_core.datasets.mapping import Mapping
from uvlm_core.datasets.masks import paint
from uvlm_core.datasets.scan import read_scan
from uvlm_core.datasets.table import CaseTable, read_table
from uvlm_core.errors import CaseError
from uvlm_core.labels import IGNORE, REST, label_named

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def links(tmp_path):
    """Skips where links cannot be made: Windows asks for a right that most users do not have."""
    try:
        (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    except OSError as error:
        pytest.skip(f"no links can be made: {error}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """kind -> folder, built when first asked for."""
    made = {}

    def folder(kind):
        if kind not in made:
            pytest.importorskip("blosc2") if kind == "released-tables" else None
            made[kind] = BUILDERS[kind](tmp_path_factory.mktemp("sets") / kind)
        return made[kind]

    return folder


def imported(folders, kind, tmp_path, **options):
    cases, problems = import_dataset(kind, folders(kind), tmp_path / "cases.csv", options=ImportOptions(**options))
    table = read_table(tmp_path / "cases.csv")
    assert [case.case_id for case in table.cases] == [case.case_id for case in cases]
    return table, {case.case_id: case for case in table.cases}, problems


def painted(table, case):
    volume = read_scan(table, case)
    return volume, paint(table, case, volume, Mapping())


@pytest.mark.parametrize("kind", BUILDERS)
def test_the_guess_names_the_importer_and_why(folders, kind):
    best = guess(folders(kind))[0]
    assert best.kind == kind and best.clues


def test_nothing_to_guess(tmp_path):
    with pytest.raises(CaseError, match="no scans"):
        guess(tmp_path)
    with pytest.raises(CaseError, match="no folder"):
        guess(tmp_path / "absent")


def test_ct_rate(folders, tmp_path):
    _, cases, problems = imported(folders, "ct-rate", tmp_path)
    assert set(cases) == {"train_1_a_1", "train_1_a_2", "valid_7_a_1"}  # valid_9 is no chest
    first, second, old = (cases[name] for name in ("train_1_a_1", "train_1_a_2", "valid_7_a_1"))
    assert first.patient == second.patient == "train_1" and first.scan_id == second.scan_id == "train_1_a"
    assert "train_fixed" in first.image and (first.split, old.split) == ("train", "validation")
    assert first.report == "Findings: There is consolidation in the right upper lobe. Impression: Pneumonia."
    assert second.report == first.report and second.findings["Consolidation"] == 1  # of the same scan
    assert old.report == "" and old.findings["Lung nodule"] == 0 and "Liver lesion" not in old.findings
    assert (old.sex, old.age, old.rescale) == ("F", 54, (1, -8192))
    kinds = {(problem.kind, problem.case_id) for problem in problems}
    assert {("no report", "valid_7_a_1"), ("excluded", "valid_9_a_1"), ("not on disk", "")} <= kinds


@pytest.mark.parametrize("place", [".", "dataset"])
def test_ct_rate_lists_of_other_scans_may_lie_elsewhere(place, tmp_path):
    folder = ct_rate(tmp_path / "set")
    name = "no_chest_valid.txt"
    (folder / "dataset" / "metadata" / name).rename(folder / place / name)
    cases, _ = import_dataset("ct-rate", folder, tmp_path / "cases.csv")
    assert "valid_9_a_1" not in {case.case_id for case in cases}


def test_ct_rate_volumes_with_blank_headers_get_spacing_and_hu_from_the_metadata(folders, tmp_path):
    table, cases, _ = imported(folders, "ct-rate", tmp_path)
    volume, truth = read_scan(table, cases["valid_7_a_1"]), phantom().volume
    assert np.allclose(volume.spacing, truth.spacing, rtol=1e-5)
    assert np.array_equal(volume.array, truth.array[:, ::-1, ::-1].clip(-1024))
    assert np.all(np.sign(np.diag(volume.ijk_to_ras)[:3]) == (-1, -1, 1))  # supine, to the left and to posterior
    whole = read_scan(table, cases["train_1_a_1"])
    assert np.array_equal(whole.array, truth.array + 1) and np.allclose(whole.ijk_to_ras, truth.ijk_to_ras, atol=1e-3)


def test_rexgroundingct_masks_are_found_by_finding(folders, tmp_path):
    table, cases, _ = imported(folders, "rexgroundingct", tmp_path)
    case = cases["train_1_a_1"]
    assert case.masks == {"consolidation": ["segmentations/train_1_a_1.nii.gz#0"],
                          "lung_nodule": ["segmentations/train_1_a_1.nii.gz#1"]}
    assert case.findings == {"Consolidation": 1, "Lung nodule": 1} and case.image == ""
    assert case.known_labels == []  # of a training scan not every lesion is drawn
    target = paint(table, case, phantom().volume, Mapping())
    lesion = phantom().labels == label_named("consolidation").id
    shifted = np.roll(lesion, 5, 2)
    assert np.array_equal(target.map == label_named("consolidation").id, lesion & ~shifted)
    assert np.array_equal(target.map == label_named("lung_nodule").id, shifted)
    assert set(np.unique(target.map)) <= {REST, 19, 20} and target.shifted == {}
    assert "left lower lobe" in json.loads(case.extra["grounded_sentences"])["1"]


def test_radgenome(folders, tmp_path):
    _, cases, problems = imported(folders, "radgenome-chestct", tmp_path)
    case = cases["train_1_a_1"]
    assert case.report == "Findings: The heart is normal. No lymphadenopathy."
    assert json.loads(case.extra["region_sentences"])[1] == ["whole", "No lymphadenopathy."]
    assert Mapping().annotated(case) == ["heart", "esophagus"] and set(case.masks) >= {"trachea and bronchie"}
    assert cases["valid_7_a_1"].split == "validation"
    assert ("no mask", "valid_7_a_1") in {(problem.kind, problem.case_id) for problem in problems}


@pytest.mark.parametrize("apart", [True, False])
def test_abdomen_atlas_in_both_layouts(tmp_path, apart):
    folder = abdomen_atlas(tmp_path / "atlas", apart)
    assert guess(folder)[0].kind == "abdomen-atlas"
    _, problems = import_dataset("abdomen-atlas", folder, tmp_path / "cases.csv")
    table = read_table(tmp_path / "cases.csv")
    first, second = table.cases
    assert first.report == "Liver: No lesion.\nKidney: Normal." and first.findings == {"Liver lesion": 0}
    assert (first.sex, first.age, first.split, second.split) == ("M", 61, "train", "test")
    assert len(first.masks) == 6
    assert {"no report", "not on disk"} <= {problem.kind for problem in problems}
    volume, target = painted(table, first)
    assert target.known == ["liver", "kidney_left", "kidney_right", "liver_lesion", "pancreas_lesion"]
    wanted = np.isin(phantom().labels, [label_named(name).id for name in target.known])
    assert np.array_equal(target.map, np.where(wanted, phantom().labels, REST)) and volume.shape == target.map.shape


def test_abdomen_atlas_reports_are_chosen_and_missing_columns_tolerated(folders, tmp_path):
    _, cases, _ = imported(folders, "abdomen-atlas", tmp_path, report="narrative")
    assert cases["BDMAP_00000001"].report == "The liver is normal."
    _, cases, problems = imported(folders, "abdomen-atlas", tmp_path, report="fusion narrative")
    assert cases["BDMAP_00000001"].report == ""
    assert any("no column 'fusion narrative report'" in problem.message for problem in problems)
    with pytest.raises(CaseError, match="fusion structured"):
        imported(folders, "abdomen-atlas", tmp_path, report="poetic")


def test_totalsegmentator(folders, tmp_path):
    table, cases, _ = imported(folders, "totalsegmentator", tmp_path)
    assert (cases["s0000"].age, cases["s0000"].sex, cases["s0001"].split) == (60, "F", "validation")
    _, target = painted(table, cases["s0000"])
    assert target.known == ["lung_upper_lobe_left", "liver", "spine"]
    assert target.volumes["urinary_bladder"] == 0


def test_amos_leaves_mr_out_and_knows_only_a_part_of_the_bowel(folders, tmp_path):
    table, cases, problems = imported(folders, "amos22", tmp_path)
    assert set(cases) == {"amos_0001", "amos_0002"} and "MR" in {problem.kind for problem in problems}
    _, target = painted(table, cases["amos_0001"])
    assert target.known == ["spleen", "kidney_right"] and (target.map == label_named("bowel").id).any()


def test_nnunet(folders, tmp_path):
    table, cases, _ = imported(folders, "nnunet", tmp_path)
    assert set(cases) == {"case_1", "case_2", "case_3"}  # second channels are no scans
    assert (cases["case_1"].fold, cases["case_2"].fold, cases["case_3"].split) == (1, 0, "test")
    assert cases["case_1"].label_names == {1: "liver", 2: "liver_tumor", 3: "ignore"}
    _, target = painted(table, cases["case_1"])
    heart = phantom().labels == label_named("heart").id
    assert (target.map[heart] == IGNORE).all() and target.known == ["liver", "liver_lesion"]


def test_released_tables(folders, tmp_path):
    table, cases, _ = imported(folders, "released-tables", tmp_path)
    case = cases["train_1_a_1"]
    assert (case.patient, case.findings) == ("train_1", {"Consolidation": 1, "Lung nodule": 0})
    volume, target = painted(table, case)
    assert np.array_equal(volume.array, phantom().volume.array[:, ::-1, ::-1])
    assert np.array_equal(target.map, phantom().labels[:, ::-1, ::-1])
    assert "stretched" in volume.meta["notes"][0]


def test_kept_cases_bring_what_the_reader_stands_for(folders, tmp_path):
    table, cases, problems = imported(folders, "kept-cases", tmp_path)
    signed, draft = cases["a-signed"], cases["b-draft"]
    assert signed.findings == {"Lung nodule": 0, "Consolidation": 1, "Emphysema": 0}  # no guess of the model
    assert draft.report == "" and draft.findings == {"Lung nodule": 0}
    _, target = painted(table, signed)
    assert target.known == ["liver", "consolidation"]
    assert [problem.case_id for problem in problems if problem.kind == "no report"] == ["b-draft"]
    _, cases, _ = imported(folders, "kept-cases", tmp_path, drafts=True)
    assert cases["b-draft"].report.startswith("Lungs:")


def test_plain_folder(folders, tmp_path):
    _, cases, problems = imported(folders, "plain-folder", tmp_path)
    assert set(cases) == {"first", "second"}
    assert cases["first"].report == REPORT and cases["first"].label_names == {1: "liver", 2: "heart"}
    second = cases["second"]
    assert (second.patient, second.split, second.findings) == ("p2", "validation", {"Lung nodule": 1})
    assert any("third" in problem.message for problem in problems)


def test_scans_of_one_name_keep_their_masks_texts_and_rows(tmp_path):
    folder = patient_folders(tmp_path / "set")
    table(folder / "list.csv", [{"file": f"p{n}/ct.nii.gz", "patient": f"P{n}", "Nodule": n - 1} for n in (1, 2)])
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    assert problems == []
    assert [(case.image, case.labels, case.report, case.patient_id, case.findings) for case in cases] == [
        (f"p{n}/ct.nii.gz", f"p{n}/ct_seg.nii.gz", f"Patient {n}.", f"P{n}", {"Lung nodule": n - 1}) for n in (1, 2)]


@pytest.mark.usefixtures("links")
def test_linked_folders_of_patients_are_entered_and_circles_are_not_followed(tmp_path):
    from test_volumes_dicom import write_series

    folder = patient_folders(tmp_path / "set")
    (folder / "p2").rename(tmp_path / "elsewhere")
    write_series(tmp_path / "series")
    places = {"p2": "elsewhere", "p3": "series", "p1/up": "set", "p1/again": "set/p1", "0": "set/p1"}
    for name, place in places.items():
        (folder / name).symlink_to(tmp_path / place, target_is_directory=True)
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    assert [(case.image, case.labels, case.report) for case in cases] == [
        *((f"p{n}/ct.nii.gz", f"p{n}/ct_seg.nii.gz", f"Patient {n}.") for n in (1, 2)), ("p3", "", "")]
    assert {problem.kind for problem in problems} == {"no report"}
    read = read_table(tmp_path / "cases.csv")
    assert [read_scan(read, case).shape for case in read.cases] == [phantom().volume.shape] * 2 + [(10, 6, 8)]


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind != "released-tables"])
def test_a_linked_data_set_is_the_data_set(kind, folders, tmp_path):
    whole, _ = import_dataset(kind, folders(kind), tmp_path / "whole.csv")
    (tmp_path / "set").mkdir()
    for path in folders(kind).iterdir():
        (tmp_path / "set" / path.name).symlink_to(path, target_is_directory=path.is_dir())
    cases, _ = import_dataset(kind, tmp_path / "set", tmp_path / "cases.csv")
    assert [(case.case_id, case.image, case.labels, case.masks, case.report) for case in cases] == [
        (case.case_id, case.image, case.labels, case.masks, case.report) for case in whole]


def test_names_outside_ascii_stay_apart_and_are_the_same_on_every_machine(tmp_path):
    names = ["Müller", "Möller", "患者一", "患者二", "a b", "a_b", "plain-1.2", "_x"]
    for number, name in enumerate(names):
        scan(tmp_path / "set" / f"{name}.nii.gz", shift=number)
    cases, _ = import_dataset("plain-folder", tmp_path / "set", tmp_path / "cases.csv")
    ids = {case.image.removesuffix(".nii.gz"): case.case_id for case in cases}
    assert ids == {"Müller": "M_ller-a7842989", "Möller": "M_ller-eb78163e", "患者一": "case-e2efe9ef",
                   "患者二": "case-db0ad3fe", "a b": "a_b-c8687a08", "a_b": "a_b", "plain-1.2": "plain-1.2", "_x": "_x"}
    assert as_case_id(unicodedata.normalize("NFD", "Müller")) == ids["Müller"]  # as a Mac writes it


def test_another_patients_mask_or_text_is_never_taken(tmp_path):
    folder = patient_folders(tmp_path / "set")
    for name in ("ct_seg.nii.gz", "ct.txt"):
        (folder / "p2" / name).unlink()
    table(folder / "list.csv", [{"file": "ct.nii.gz", "patient": "P"}])
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    assert (cases[1].labels, cases[1].report, cases[1].patient_id) == ("", "", "")
    assert any("belong to no scan: ct" in problem.message for problem in problems)  # the row could be of both


@pytest.mark.parametrize(("scan", "others", "mask"), [
    ("x.nii.gz", ["sub/x_seg.nii.gz"], "sub/x_seg.nii.gz"),
    ("p1/images/ct.nii.gz", ["p1/labels/ct.nii.gz", "p2/labels/ct.nii.gz"], "p1/labels/ct.nii.gz"),
    ("images/p1/ct.nii.gz", ["labels/p1/ct.nii.gz", "labels/p2/ct.nii.gz"], "labels/p1/ct.nii.gz"),
    ("x.nii.gz", ["x_mask.nii.gz", "x_seg.nii.gz"], "x_seg.nii.gz"),
    ("p1/ct.nii.gz", ["p2/ct_seg.nii.gz", "p3/ct_seg.nii.gz"], "")])
def test_masks_are_found_by_folder_then_by_name(scan, others, mask, folders, tmp_path):
    for name in (scan, *others):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).hardlink_to(folders("plain-folder") / "first.nii.gz")
    (case,), problems = import_dataset("plain-folder", tmp_path / "set", tmp_path / "cases.csv")
    assert case.labels == mask
    lost = next((problem.message for problem in problems if problem.kind == "no scan"), "")
    assert all((name in lost) == (name != mask) for name in others)


def test_a_table_without_a_column_for_the_scan_is_named(tmp_path):
    folder = plain_folder(tmp_path / "set")
    table(folder / "other.csv", [{"Accession": "1", "Befund": "Normal."}])
    _, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    problem = next(problem for problem in problems if problem.file == "other.csv")
    assert problem.severity == "warning" and "Accession, Befund" in problem.message and "filename" in problem.message


def test_tables_of_an_earlier_import_are_not_read(tmp_path):
    folder = plain_folder(tmp_path / "set")
    import_dataset("plain-folder", folder, folder / "a.csv")
    (folder / "first.txt").write_text("Corrected.", "utf-8")
    cases, problems = import_dataset("plain-folder", folder, folder / "a.csv")
    assert next(case for case in cases if case.case_id == "first").report == "Corrected."
    assert {problem.file for problem in problems if problem.kind == "table"} == {"a.csv"}


def test_the_list_of_problems_goes_when_they_are_gone(tmp_path):
    folder, listed = patient_folders(tmp_path / "set"), tmp_path / "cases_problems.csv"
    whole = (folder / "p1" / "ct.nii.gz").read_bytes()
    (folder / "p1" / "ct.nii.gz").write_bytes(b"")
    import_dataset("plain-folder", folder, tmp_path / "cases.csv", "skip")
    assert "0 bytes" in listed.read_text("utf-8")
    (folder / "p1" / "ct.nii.gz").write_bytes(whole)
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv", "skip")
    assert len(cases) == 2 and problems == [] and not listed.exists()


@pytest.mark.parametrize("name", ["{}.dcm", "IM000{}", "1.2.840.{}"])
@pytest.mark.parametrize("place", ["patient1", "a/series", "."])
def test_dicom_folders_are_scans(place, name, tmp_path):
    from test_volumes_dicom import write_series

    folder = write_series(tmp_path / "set" / place)
    for number, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / name.format(number))
    (tmp_path / "set" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "set" / "README").write_text("no slice", "utf-8")
    assert guess(tmp_path / "set")[0].kind == "plain-folder"
    import_dataset("plain-folder", tmp_path / "set", tmp_path / "cases.csv")
    read = read_table(tmp_path / "cases.csv")
    assert [(case.case_id, case.image) for case in read.cases] == [(folder.name, place)]
    assert read_scan(read, read.cases[0]).shape == (10, 6, 8)


def test_dicom_files_beside_folders_of_dicom_files_are_named_and_left_out(tmp_path):
    for name in ("stray", "p1/IM1", "p2/IM1"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).write_bytes(b"\0" * 128 + b"DICM")
    cases, problems = import_dataset("plain-folder", tmp_path / "set", tmp_path / "cases.csv")
    assert [case.image for case in cases] == ["p1", "p2"]
    assert [problem.severity for problem in problems if problem.kind == "DICOM files"] == ["warning"]


def test_phantoms(folders, tmp_path):
    from uvlm_core.phantom.table import COLUMNS, write_cases

    write_cases(1, tmp_path / "written", 20, shape=(24, 32, 32))
    head = (tmp_path / "written" / "cases.csv").read_text("utf-8").splitlines()[0]
    assert head.startswith(",".join(COLUMNS)) and import_dataset("auto", tmp_path / "written", tmp_path / "one.csv")
    assert head == (folders("phantoms") / "cases.csv").read_text("utf-8").splitlines()[0]
    table, cases, _ = imported(folders, "phantoms", tmp_path)
    volume, target = painted(table, cases["phantom_20"])
    assert len(target.known) == 33 and not (target.map >= REST).any() and volume.shape == (48, 64, 64)


def test_roots_are_relative_where_table_and_data_lie_together(folders, tmp_path):
    folder = folders("totalsegmentator")
    inside, _ = import_dataset("totalsegmentator", folder, folder.parent / "inside.csv")
    outside, _ = import_dataset("totalsegmentator", folder, tmp_path / "elsewhere" / "cases.csv")
    assert inside[0].root == "totalsegmentator" and outside[0].root == folder.as_posix()
    for path in (folder.parent / "inside.csv", tmp_path / "elsewhere" / "cases.csv"):
        table = read_table(path)
        assert isinstance(table, CaseTable) and table.path(table.cases[0], table.cases[0].image).exists()
