"""The case table: there and back, as CSV and Parquet, and what is said about cells that cannot be."""

from __future__ import annotations

import sys

import pytest

from uvlm_core.datasets.csv_file import cell, read_rows
from uvlm_core.datasets.table import Case, read_table, write_table
from uvlm_core.errors import CaseError

FULL = Case("a.1", "scans/a.nii.gz", "p1", "s1", "my-set", "../data", "labels/a.nii.gz", {1: "liver", 7: "vésicule"},
            {"lung_nodule": ["m/a.nii.gz#0", "m/a.nii.gz#2"]}, ["liver"], "Findings: a, \"b\"\nand; c.",
            (2.5, 0.7, 0.7), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (1.0, -1024.0), "train", 0, "F", 61.5, "CC-BY-4.0",
            {"Lung nodule": 1, "Emphysema": 0}, {"scanner": "X"})


@pytest.mark.parametrize("name", ["cases.csv", "cases.parquet"])
def test_there_and_back(name, tmp_path):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    cases = [FULL, Case("b", "b.nii.gz", known_labels=[])]
    write_table(tmp_path / name, cases)
    table = read_table(tmp_path / name)
    assert table.cases[0] == FULL
    assert table.cases[1].known_labels == [] and table.cases[1].findings == {} and table.cases[1].fold is None
    assert table.path(FULL, "m/a.nii.gz#2") == tmp_path.parent / "data" / "m" / "a.nii.gz"


def test_without_pyarrow_a_parquet_table_is_refused_with_the_way_out(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for action in (lambda: write_table(tmp_path / "a.parquet", [FULL]), lambda: read_table(tmp_path / "a.parquet")):
        with pytest.raises(CaseError, match="pip install"):
            action()
    with pytest.raises(CaseError, match=r"\.csv or \.parquet"):
        write_table(tmp_path / "a.xlsx", [FULL])


def test_tables_of_spreadsheets_are_read(tmp_path):
    """Semicolons, a byte order mark, other capitals, empty cells, columns of one's own."""
    path = tmp_path / "cases.csv"
    lines = ["\ufeffcase_id;Image;report;Lung nodule;ward", "a;a.nii.gz;\"Eins; zwei\";1.0;7", "b;b.nii.gz;;;", ""]
    path.write_bytes("\r\n".join(lines).encode())
    first, second = read_table(path).cases
    assert (first.image, first.report, first.findings, first.extra) == ("a.nii.gz", "Eins; zwei", {"Lung nodule": 1},
                                                                       {"ward": "7"})
    assert second.findings == {}


@pytest.mark.parametrize(("text", "words"), [
    ("", "empty"),
    ("case_id,picture\na,b\n", "lacks the column image; it has case_id, picture"),
    ("case_id,image\n", "no rows"),
    ("case_id,image\na/b,x\n", "row 2: case_id 'a/b'"), ("case_id,image\n..,x\n", "row 2: case_id '..'"),
    ("case_id,image,fold\na,x,1.5\n", "fold is '1.5'"), ("case_id,image,spacing\na,x,0 1 1\n", "above 0"),
    ("case_id,image,masks\na,x,\"{\"\"m\"\": 5}\"\n", "masks is not JSON"),
    ("case_id,image,masks\na,x,\"{\"\"m\"\": [5]}\"\n", "masks is not JSON"),
    ("case_id,image,known_labels\na,x,[1]\n", "known_labels is not JSON"),
    ("case_id,image\na,x\na,y\n", "a more than once"),
    ("case_id,image,split\na,x,training\n", "split is 'training'; expected train, validation, test"),
    ("case_id,image,Lung nodule\na,x,2\n", "Lung nodule is '2'; expected 0, 1 or nothing"),
    ("case_id,image,Lung nodule\na,x,0.3\n", "Lung nodule is '0.3'"),
    ("case_id,image,masks\na,x,liver.nii.gz\n", "masks is not JSON"),
    ("case_id,image,label_names\na,x,\"{\"\"one\"\": \"\"liver\"\"}\"\n", "label_names is not JSON"),
    ("case_id,image,spacing\na,x,1 2\n", "spacing is '1 2'; expected 3 numbers"),
    ("case_id,image,fold\na,x,first\n", "fold is 'first'; expected 1 number"),
    ("case_id,image\na,x,y,z\n", "row 2 has more cells"),
])
def test_cells_that_cannot_be_are_named(text, words, tmp_path):
    (tmp_path / "cases.csv").write_text(text, "utf-8")
    with pytest.raises(CaseError) as error:
        read_table(tmp_path / "cases.csv")
    assert words in str(error.value) and "cases.csv" in str(error.value)


def test_a_folder_in_place_of_a_table(tmp_path):
    (tmp_path / "a.csv").mkdir()
    with pytest.raises(CaseError, match="is a folder"):
        write_table(tmp_path / "a.csv", [FULL])
    with pytest.raises(CaseError, match="cannot be read"):
        read_table(tmp_path / "a.csv")


def test_no_table_and_no_text(tmp_path):
    with pytest.raises(CaseError, match="cannot be read"):
        read_table(tmp_path / "absent.csv")
    (tmp_path / "image.csv").write_bytes(b"\x1f\x8b\0\0\0\0")
    with pytest.raises(CaseError, match="no text table"):
        read_table(tmp_path / "image.csv")


def test_many_wrong_rows_are_counted(tmp_path):
    (tmp_path / "cases.csv").write_text("case_id,image,split\n" + "".join(f"c{n},x,no\n" for n in range(9)), "utf-8")
    with pytest.raises(CaseError, match="and 4 more"):
        read_table(tmp_path / "cases.csv")


def test_columns_are_found_whatever_their_case(tmp_path):
    (tmp_path / "a.csv").write_text("volume name\tFindings_EN\nx\tNaN\n", "utf-8")
    row, = read_rows(tmp_path / "a.csv", ("VolumeName",))
    assert row["VolumeName"] == "x" and cell(row, "findings en") == "" and cell(row, "nothing") == ""


def test_long_reports_and_line_breaks_in_cells(tmp_path):
    text = "A line.\nAnother one.\u2028And more. " * 20000
    write_table(tmp_path / "cases.csv", [Case("a", "x", report=text.strip())])
    assert read_table(tmp_path / "cases.csv").cases[0].report == text.strip()
