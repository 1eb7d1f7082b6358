"""Texts and tables in the encodings that are met; what cannot be read is named, never used damaged."""

from __future__ import annotations

import pytest
from dataset_folders import BUILDERS, REPORT, patient_folders, phantom

from uvlm_core.datasets.importing import import_dataset
from uvlm_core.errors import CaseError

pytestmark = pytest.mark.filterwarnings("error")

TEXT = "Größe 12 mm – kein Rundherd."
CUT = f"{TEXT} Für Müller geprüft: kein Gefäß".encode() + "ü".encode()[:1]  # in the middle of its last letter


@pytest.mark.parametrize("name", ["ct.txt", "ct.TXT"])
@pytest.mark.parametrize("data", [TEXT.encode(), TEXT.encode("utf-8-sig"), TEXT.encode("cp1252"), TEXT.encode("utf-16"),
                                  b"\xfe\xff" + TEXT.encode("utf-16-be")],
                         ids=["utf-8", "with a mark", "cp1252", "utf-16", "utf-16-be"])
def test_texts_are_read_in_the_encodings_that_are_met(name, data, tmp_path):
    folder = patient_folders(tmp_path / "set")
    (folder / "p1" / "ct.txt").unlink()
    (folder / "p1" / name).write_bytes(data + b"\r\n" if b"\0" not in data else data)
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    assert cases[0].report == TEXT and problems == []


@pytest.mark.parametrize("data", [TEXT.encode("utf-16-le"), b"Gr\x81\x8d\xdfe", b"\xff\xfea", CUT,
                                  b"\xef\xbb\xbf12 \xc3"],
                         ids=["no mark", "no cp1252", "half a letter", "damaged utf-8", "damaged after a mark"])
def test_a_text_that_cannot_be_read_is_named_and_never_used_damaged(data, tmp_path):
    folder = patient_folders(tmp_path / "set")
    (folder / "p1" / "ct.txt").write_bytes(data)
    with pytest.raises(CaseError, match=r"letters that cannot be read.*UTF-8.*p1/ct\.txt"):
        import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    cases, _ = import_dataset("plain-folder", folder, tmp_path / "cases.csv", "skip")
    assert [case.report for case in cases] == ["", "Patient 2."]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
def test_tables_too(encoding, tmp_path):
    folder = patient_folders(tmp_path / "set")
    (folder / "LIST.CSV").write_text(f"file;text\np1/ct.nii.gz;{TEXT}\n", encoding)
    cases, problems = import_dataset("plain-folder", folder, tmp_path / "cases.csv")
    assert cases[0].report == TEXT and problems == []


@pytest.mark.parametrize(("kind", "file", "text"), [
    ("plain-folder", "list.csv", REPORT),
    ("ct-rate", "dataset/radiology_text_reports/train_reports.csv", "There is consolidation in the right upper lobe."),
    ("radgenome-chestct", "dataset/radgenome_files/train_region_report.csv", "The heart is normal."),
    ("abdomen-atlas", "AbdomenAtlas3.0MiniWithMeta.csv", "Kidney: Normal."),
    ("phantoms", "cases.csv", phantom(20).report()[:20]),
    ("released-tables", "report.csv", "Findings: Consolidation.")])
@pytest.mark.parametrize("data", [CUT, b"Gr\x81\x8d\xdfe"], ids=["damaged utf-8", "no cp1252"])
def test_a_report_of_a_table_that_cannot_be_read_is_an_error_of_its_case(kind, file, text, data, tmp_path):
    if kind == "released-tables":
        pytest.importorskip("blosc2")
    folder = BUILDERS[kind](tmp_path / "set")
    whole, _ = import_dataset(kind, folder, tmp_path / "cases.csv")
    path = folder / file
    path.write_bytes(path.read_bytes().replace(text.encode(), data))
    with pytest.raises(CaseError, match="letters that cannot be read"):
        import_dataset(kind, folder, tmp_path / "cases.csv")
    cases, problems = import_dataset(kind, folder, tmp_path / "cases.csv", "skip")
    named = {problem.case_id for problem in problems if problem.kind == "text"}
    assert named
    assert [(case.case_id, case.findings, case.report) for case in cases] == [
        (case.case_id, case.findings, "" if case.case_id in named else case.report) for case in whole]
