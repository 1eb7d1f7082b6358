"""The check finds what was planted, shows it, and changes nothing."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from dataset_folders import mask, phantom, scan

from uvlm_core.datasets import checking
from uvlm_core.datasets.check_text import text_problems
from uvlm_core.datasets.checking import check_table
from uvlm_core.datasets.table import Case, write_table
from uvlm_core.labels import label_named
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap, write_volume

ORGANS = ("lung_upper_lobe_left", "lung_upper_lobe_right", "lung_lower_lobe_left", "lung_lower_lobe_right", "liver",
          "heart", "kidney_left", "kidney_right", "spleen")
RIGHT = "Lungs: There is a consolidation in the right upper lobe. No evidence of emphysema or nodule."


def write(folder: Path, name: str, change=lambda labels: labels, names=ORGANS, shift: int = 0, **values) -> Case:
    """A case with one mask per organ, after `change` of the label map."""
    (folder / name).mkdir(parents=True)
    scan(folder / name / "ct.nii.gz", shift=shift)
    labels = change(phantom().labels)
    for organ in names:
        write_labelmap(folder / name / f"{organ}.nii.gz", (labels == label_named(organ).id).astype(np.uint8),
                       phantom().volume)
    return Case(name, f"{name}/ct.nii.gz", masks={organ: [f"{name}/{organ}.nii.gz"] for organ in names},
                report=values.pop("report", RIGHT), patient_id=values.pop("patient_id", name), **values)


def swapped(labels: np.ndarray) -> np.ndarray:
    out = labels.copy()
    left, right = label_named("kidney_left").id, label_named("kidney_right").id
    out[labels == left], out[labels == right] = right, left
    return out


@pytest.fixture(scope="module")
def checked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("check")
    data = folder / "data"
    lesion = (*ORGANS, "consolidation")
    cases = [
        write(data, "sound", shift=1, findings={"Consolidation": 1, "Emphysema": 0}, split="train"),
        write(data, "upside_down", lambda labels: labels[::-1], shift=2),
        write(data, "moved", lambda labels: np.roll(labels, 5, 0), shift=3),
        write(data, "kidneys_swapped", swapped, shift=4),
        write(data, "labels_differ", shift=5, findings={"Consolidation": 0, "Emphysema": 1}),
        write(data, "other_side", names=lesion, shift=6, report=RIGHT.replace("right", "left")),
        write(data, "empty_mask", names=(*ORGANS, "lung_nodule"), shift=7, findings={"Lung nodule": 1},
              report="There is a nodule in the left lung. Nothing else is seen."),
        write(data, "copy_of_sound", shift=1, split="validation", patient_id="another", report=RIGHT + " Again."),
        write(data, "same_patient", shift=8, split="validation", patient_id="sound", report="Short."),
        write(data, "missing", shift=9), write(data, "no_ct"), write(data, "silent", shift=11, report=""),
    ]
    (data / "missing" / "heart.nii.gz").unlink()
    picture = Volume(np.random.default_rng(0).integers(0, 255, phantom().labels.shape).astype(np.int16),
                     phantom().volume.ijk_to_ras)
    write_volume(data / "no_ct" / "ct.nii.gz", picture)
    for case in cases:
        case.root = "data"
    write_table(folder / "cases.csv", cases)
    before = digest(data)
    problems = check_table(folder / "cases.csv", folder / "out")
    assert digest(data) == before  # nothing was changed
    return folder, problems


def digest(folder: Path) -> dict:
    return {path.as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
            for path in sorted(folder.rglob("*")) if path.is_file()}


def found(problems, name, severities=("error", "warning")) -> dict[str, str]:
    return {row.kind: row.message for row in problems if row.case_id == name and row.severity in severities}


@pytest.mark.parametrize(("name", "kind", "words"), [
    ("upside_down", "shifted mask", "flipped head to foot"),
    ("moved", "shifted mask", "moved by"),
    ("kidneys_swapped", "sides", "left kidney lies to the right"),
    ("labels_differ", "label against text", "the text"),
    ("other_side", "side of mask against text", "the text says left, the mask lies right"),
    ("empty_mask", "empty mask", "Lung nodule is 1, but its mask is empty"),
    ("copy_of_sound", "duplicate scan", "same scan as sound, which is in another split (train)"),
    ("sound", "patient in two splits", "train and validation: sound, same_patient"),
    ("same_patient", "short report", "6 characters"),
    ("missing", "no file", "not there"),
    ("no_ct", "no CT", "HU"),
])
def test_what_was_planted_is_found(checked, name, kind, words):
    assert words in found(checked[1], name).get(kind, "nothing of this kind")


def test_what_is_sound_is_not_accused(checked):
    assert set(found(checked[1], "sound")) == {"patient in two splits"}
    assert found(checked[1], "silent") == {}
    assert found(checked[1], "silent", ("note",))["no report"]


def test_labels_against_text_go_both_ways(checked):
    own = [row for row in checked[1] if row.case_id == "labels_differ"]
    messages = [row.message for row in own if row.kind == "label against text"]
    assert any("Consolidation is 0, but the text states it" in text for text in messages)
    assert any("Emphysema is 1, but the text denies it" in text for text in messages)


def test_table_pictures_and_page(checked):
    folder, problems = checked
    with open(folder / "out" / "problems.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(problems) and [row["severity"] for row in rows] == sorted(
        (row["severity"] for row in rows), key=("error", "warning", "note").index)
    page = (folder / "out" / "check.html").read_text("utf-8")
    wrong = {row.case_id for row in problems if row.severity != "note"}
    for name in wrong:
        assert (folder / "out" / "pictures" / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n"), name
        assert f"pictures/{name}.png" in page and f"<h2>{name}</h2>" in page
    assert "<h2>silent</h2>" not in page and "Research use only" in page
    assert "http://" not in page and "https://" not in page


def test_a_second_check_reads_only_what_changed(checked, monkeypatch):
    folder, problems = checked
    read, original = [], checking.checked

    def counting(part, *rest):
        read.append(part.cases[0].case_id)
        return original(part, *rest)

    monkeypatch.setattr(checking, "checked", counting)
    assert checking.check_table(folder / "cases.csv", folder / "out") == problems and read == []
    mask(folder / "data" / "silent" / "heart.nii.gz", "heart")
    checking.check_table(folder / "cases.csv", folder / "out")
    assert read == ["silent"]


def test_several_processes_give_the_same(checked, tmp_path):
    folder, problems = checked
    assert check_table(folder / "cases.csv", tmp_path / "out", jobs=2) == problems


def test_html_in_texts_stays_text(tmp_path):
    text = "<script>alert(1)</script> nodule in the left lung."
    case = write(tmp_path, "x", report=text, findings={"Lung nodule": 0})
    write_table(tmp_path / "cases.csv", [case])
    check_table(tmp_path / "cases.csv", tmp_path / "out")
    assert "<script>alert" not in (tmp_path / "out" / "check.html").read_text("utf-8")


def test_phantoms_agree_with_their_own_reports():
    """Of 15 cases with report, labels and masks from one source, the text checks flag next to none."""
    flagged = []
    for seed in range(700, 715):
        case = make_phantom(seed, (24, 32, 32))
        row = Case(f"c{seed}", "x", report=case.report(), findings=case.present)
        flagged += [problem for problem in text_problems(row) if problem.severity == "warning"]
    assert len(flagged) <= 1, flagged
