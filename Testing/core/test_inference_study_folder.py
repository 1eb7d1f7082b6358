"""A study folder is there complete or not at all, and nothing of the user's is ever lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from uvlm_core.errors import StudyError
from uvlm_core.inference.study_folder import LOCK, SCHEMA, is_study, writing


def fill(folder: Path, mark: str) -> None:
    (folder / "study.json").write_text(json.dumps({"schema": SCHEMA, "mark": mark}))
    (folder / "report.txt").write_text(mark)


def mark_of(out: Path) -> str:
    return json.loads((out / "study.json").read_text())["mark"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_appears_only_when_complete(tmp_path):
    out = tmp_path / "deep" / "study"
    with writing(out) as beside:
        fill(beside, "one")
        assert not out.exists()
    assert mark_of(out) == "one"
    assert names(out) == ["report.txt", "study.json"]
    assert names(out.parent) == ["study"]


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt])
def test_failure_or_interrupt_leaves_nothing_and_keeps_the_old_study(tmp_path, reason):
    out = tmp_path / "study"
    with writing(out) as beside:
        fill(beside, "old")
    with pytest.raises(reason), writing(out) as beside:
        fill(beside, "new")
        raise reason
    assert mark_of(out) == "old"
    assert names(tmp_path) == ["study"]


def test_an_existing_study_is_replaced_at_the_end(tmp_path):
    out = tmp_path / "study"
    for mark in ("one", "two"):
        with writing(out) as beside:
            fill(beside, mark)
    assert mark_of(out) == "two"
    assert names(tmp_path) == ["study"]


def test_an_empty_folder_may_become_a_study(tmp_path):
    out = tmp_path / "study"
    out.mkdir()
    with writing(out) as beside:
        fill(beside, "one")
    assert is_study(out)


def test_files_and_folders_of_others_are_refused(tmp_path):
    file = tmp_path / "scan.nii.gz"
    file.write_text("x")
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.tex").write_text("x")
    study = tmp_path / "study"
    with writing(study) as beside:
        fill(beside, "one")
    (study / "my notes.docx").write_text("x")
    for out, word in ((file, "is a file"), (folder, "chapter.tex"), (study, "my notes.docx")):
        with pytest.raises(StudyError, match=word), writing(out):
            raise AssertionError("nothing may be computed for a place that cannot be written")
    assert (folder / "chapter.tex").exists()
    assert (study / "my notes.docx").exists()


def test_a_file_added_during_the_run_is_not_lost(tmp_path):
    out = tmp_path / "study"
    with writing(out) as beside:
        fill(beside, "old")
    with pytest.raises(StudyError), writing(out) as beside:
        fill(beside, "new")
        (out / "corrected.nii.gz").write_text("hours of work")
    assert mark_of(out) == "old"
    assert (out / "corrected.nii.gz").exists()


def test_a_killed_run_is_cleaned_at_the_next_start_but_a_living_one_is_left_alone(tmp_path):
    code = ("import sys, time\nfrom uvlm_core.inference.study_folder import writing\n"
            "with writing(sys.argv[1]) as beside:\n    (beside / 'half').write_text('x')\n    print('go', flush=True)\n"
            "    time.sleep(60)\n")
    out = tmp_path / "study"
    runs = [subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, env=os.environ | {
        "PYTHONPATH": str(Path(__file__).resolve().parents[2])}) for _ in range(2)]
    try:
        for run in runs:
            assert run.stdout.readline().strip() == b"go"
        assert len(names(tmp_path)) == 2
        runs[0].send_signal(signal.SIGKILL)
        runs[0].wait()
        with writing(out) as beside:
            fill(beside, "one")
        assert len(names(tmp_path)) == 2, "the living run's folder and the study"
    finally:
        for run in runs:
            run.kill()
            run.wait()
    time.sleep(0.05)
    with writing(out) as beside:
        fill(beside, "two")
    assert names(tmp_path) == ["study"]


def test_a_run_that_has_not_locked_its_folder_yet_is_left_alone(tmp_path):
    out, young, old = (tmp_path / name for name in ("study", ".study.uvlm-writing-a", ".study.uvlm-writing-b"))
    for folder in (young, old):
        folder.mkdir()
        (folder / LOCK).touch()
    os.utime(old, (time.time() - 3600,) * 2)
    with writing(out) as beside:
        fill(beside, "one")
    assert names(tmp_path) == [young.name, "study"]


def test_a_study_lost_between_two_renames_comes_back(tmp_path):
    out = tmp_path / "study"
    before = tmp_path / ".study.uvlm-before-abc"
    (before / "study").mkdir(parents=True)
    fill(before / "study", "old")
    with pytest.raises(RuntimeError), writing(out):
        raise RuntimeError
    assert mark_of(out) == "old"
    assert names(tmp_path) == ["study"]


def test_a_place_without_permission_is_explained(tmp_path):
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("permissions do not bind this user")
    tmp_path.chmod(0o500)
    with pytest.raises(StudyError, match="may write"), writing(tmp_path / "study"):
        pass


def test_folders_that_were_made_around_a_failed_study_go_and_others_stay(tmp_path):
    for out in (tmp_path / "new" / "deep" / "study", tmp_path / "mine" / "study"):
        (tmp_path / "mine").mkdir(exist_ok=True)
        with pytest.raises(KeyboardInterrupt), writing(out):
            raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with writing(tmp_path / "new" / "deep" / "study") as folder:
        (folder / "study.json").write_text(json.dumps({"schema": SCHEMA}))
    assert is_study(tmp_path / "new" / "deep" / "study")
