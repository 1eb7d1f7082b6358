"""UVLMTrain's steps Data and Plan: what is shown, estimated and trained on is of the folders that are chosen."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest


@pytest.fixture()
def lib(openModule):
    """The panel of the opened module; then UVLMTrainLib can be imported."""
    return openModule("UVLMTrain").panel


@pytest.fixture()
def ui(lib):
    import slicer

    return slicer.modules.UVLMTrainWidget.ui


def writeTable(folder: Path, names: list[str]) -> None:
    """cases.csv of a work folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "cases.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case_id", "root", "image", "split"])
        writer.writerows([name, "scans", f"{name}.nii.gz", "train"] for name in names)


def writeProblem(folder: Path, name: str) -> None:
    """What the check leaves of a case that cannot be read."""
    (folder / "checked").mkdir(parents=True, exist_ok=True)
    (folder / "checked" / "problems.csv").write_text(
        f"severity,case_id,kind,message,file,advice\nerror,{name},unreadable,cut off,,\n")


def writeRecipe(path: Path, kind: str = "phantoms", steps: int = 10) -> str:
    """A recipe that trains on phantoms or on the case table."""
    source = {"phantoms": {"kind": "phantoms", "count": 1, "first_seed": 5},
              "table": {"kind": "table", "path": "elsewhere.csv"}}[kind]
    path.write_text(json.dumps({"name": path.stem, "preset": "demo", "seed": 1, "data": [{"name": "p", **source}],
                                "stages": [{"kind": "segmentation", "steps": steps}]}))
    return str(path)


def openWork(lib, app, folder: Path) -> None:
    """Shows the cases of a work folder."""
    lib.data.setFolders("", str(folder))
    assert app.processUntil(lambda: not lib.data._steps.running) and lib.data.rows, lib.data.ui.casesRemark.text


def plannedTable(run: Path) -> str:
    """Path of the table that the planned recipe names."""
    return json.loads((run / "planned_recipe.json").read_text())["data"][0]["path"]


@pytest.fixture()
def started(monkeypatch, lib):
    """The arguments of each training that was started; none really is."""
    from UVLMTrainLib.RunFolder import RunFolder

    calls: list[list[str]] = []
    monkeypatch.setattr(RunFolder, "train", lambda self, arguments: calls.append(arguments))
    return calls


def test_a_run_keeps_its_cases_when_another_data_set_is_imported(lib, ui, app, tmp_path, started):
    work, run = tmp_path / "work", tmp_path / "elsewhere" / "run"
    writeTable(work, ["a", "b"])
    writeProblem(work, "b")
    openWork(lib, app, work)
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table"))
    lib.plan.setRunFolder(str(run))
    ui.startButton.click()
    assert started, ui.runRemark.text
    table = plannedTable(run)
    own = Path(table).read_text()
    assert Path(table).parent == run
    with open(table, newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["case_id"], row["root"]) for row in rows] == [("a", str(work / "scans"))]  # the same files
    writeTable(work, ["a", "c"])  # what an import of another data set writes, and the reading of it
    openWork(lib, app, work)
    lib.plan.arguments()  # as an estimate of the next plan does
    assert plannedTable(run) != table and Path(table).read_text() == own


def test_the_same_cases_are_the_same_data_for_the_next_stage(lib, ui, app, tmp_path, started):
    """The core refuses to go on where the recipe names other data than the run began with."""
    writeTable(tmp_path / "work", ["a"])
    openWork(lib, app, tmp_path / "work")
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table"))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    lib.plan.arguments()
    first = plannedTable(tmp_path / "run")
    lib.data.readTable()
    assert app.processUntil(lambda: lib.data.rows and not lib.data._steps.running)
    lib.plan.arguments()
    assert plannedTable(tmp_path / "run") == first
    assert [path.name for path in (tmp_path / "run").glob("*.csv")] == [Path(first).name]


def test_cases_with_errors_are_never_trained_on_unasked(lib, ui, app, tmp_path, started):
    """Not while the check that finds them is running, and not where no other case is left."""
    work = tmp_path / "work"
    writeTable(work, ["a"])
    writeProblem(work, "a")
    openWork(lib, app, work)
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table"))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    ui.startButton.click()
    assert not started and "without errors" in ui.runRemark.text
    lib.plan.estimate()
    assert "without errors" in ui.estimateRemark.text and lib.plan._command is None
    (tmp_path / "data").mkdir()
    ui.dataFolderEdit.text = str(tmp_path / "data")
    lib.data.importAndCheck()
    ui.startButton.click()
    assert not started and "being imported" in ui.runRemark.text
    lib.data.cancel()
    assert app.processUntil(lambda: lib.data._steps is not None and not lib.data._steps.running)
    ui.skipCheckBox.checked = False  # the user wants them
    ui.startButton.click()
    assert len(started) == 1, ui.runRemark.text


def test_the_importer_is_of_the_folder_that_is_chosen(lib, ui, app, tmp_path):
    first, second, third = tmp_path / "kept", tmp_path / "empty", tmp_path / "kept too"
    for folder in (first, third):
        (folder / "20260102-101500-chest-3f9a").mkdir(parents=True)
        (folder / "20260102-101500-chest-3f9a" / "case.json").write_text(
            '{"schema": "uvlm-kept-case/1", "case_id": "20260102-101500-chest-3f9a"}')
    second.mkdir()
    ui.dataFolderEdit.text = str(first)
    lib.data.guess()
    ui.dataFolderEdit.text = str(second)
    lib.data.guess()
    assert app.processUntil(lambda: lib.data._command is None)
    assert str(second) in ui.importerRemark.text and ui.importerSelector.count == 0
    lib.data.guess()
    ui.dataFolderEdit.text = str(third)  # typed, and no other field was entered yet
    assert app.processUntil(lambda: lib.data._command is None)
    assert ui.importerSelector.currentText == "kept-cases" and lib.data._guessed == str(third)
    lib.data._guessed = ""
    lib.data.guess()
    ui.cancelCheckButton.click()
    assert ui.importerRemark.text == "Stopped."


def test_a_folder_that_is_chosen_during_an_import_is_looked_into_at_its_end(lib, ui, app, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    lib.data.setFolders(str(tmp_path / "first"), str(tmp_path / "work"))
    assert app.processUntil(lambda: lib.data._command is None)
    ui.checkCasesButton.click()
    ui.dataFolderEdit.text = str(tmp_path / "second")
    lib.data.guess()
    assert app.processUntil(lambda: str(tmp_path / "second") in ui.importerRemark.text), ui.importerRemark.text
    assert str(tmp_path / "first") in ui.casesRemark.text  # the import was not disturbed: there is nothing in it


def test_problems_are_told_of_the_cases_that_have_them(lib, ui, app, tmp_path):
    """Data set A is checked; the import of B fails, then one is stopped when its table is written."""
    work = tmp_path / "work"
    writeTable(work, ["case_1", "case_2"])
    writeProblem(work, "case_1")
    (work / "checked" / "rows").mkdir()
    for number in range(50):
        (work / "checked" / "rows" / f"{number}.json").touch()
    openWork(lib, app, work)
    (tmp_path / "data").mkdir()
    ui.dataFolderEdit.text = str(tmp_path / "data")
    lib.data.importAndCheck()
    lib.data._count()
    assert "50" not in ui.casesRemark.text  # nothing is checked yet
    assert app.processUntil(lambda: "imported before" in ui.casesRemark.text), ui.casesRemark.text
    assert "scans in it" in ui.casesRemark.text  # why it failed
    assert [(row.name, row.severity) for row in lib.data.rows] == [("case_1", "error"), ("case_2", "")]
    assert app.processUntil(lambda: lib.data._command is None)
    lib.data.importAndCheck()
    writeTable(work, ["case_1", "case_3"])  # as the import does, just before it is stopped
    lib.data.cancel()
    assert app.processUntil(lambda: not lib.data._steps.running)
    assert [(row.name, row.severity) for row in lib.data.rows] == [("case_1", ""), ("case_3", "")]
    assert "Stopped" in ui.casesRemark.text and "before" not in ui.casesRemark.text


def test_cases_of_another_folder_do_not_stay_beside_a_table_that_cannot_be_read(lib, ui, app, tmp_path, started):
    writeTable(tmp_path / "A", ["a", "b"])
    (tmp_path / "B").mkdir()
    (tmp_path / "B" / "cases.csv").write_text("name,file\nx,y\n")
    openWork(lib, app, tmp_path / "A")
    lib.data.setFolders("", str(tmp_path / "B"))
    assert not lib.data.rows and lib.data.table.model.rowCount() == 0
    assert app.processUntil(lambda: "case_id" in ui.casesRemark.text), ui.casesRemark.text
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table"))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    for skip in (True, False):
        ui.skipCheckBox.checked = skip
        ui.startButton.click()
        assert not started and "case_id" in ui.runRemark.text


def test_cases_in_a_folder_that_cannot_be_written_can_be_looked_at(lib, ui, app, tmp_path, started):
    work = tmp_path / "work"
    writeTable(work, ["a", "b"])
    (work / "cases_without_errors.csv.writing").mkdir()  # stands for a full disk, or one that is read only
    openWork(lib, app, work)
    assert len(lib.data.rows) == 2 and "cannot be listed" in ui.casesRemark.text
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table"))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    ui.startButton.click()
    assert not started and "cannot be listed" in ui.runRemark.text
    ui.skipCheckBox.checked = False
    ui.startButton.click()
    assert len(started) == 1


def test_an_import_that_cannot_begin_says_why(lib, ui, app, tmp_path, monkeypatch):
    import os

    writeTable(tmp_path / "work", ["a"])
    openWork(lib, app, tmp_path / "work")

    def refused(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "remove", refused)
    ui.dataFolderEdit.text = str(tmp_path)
    ui.checkCasesButton.click()
    assert "Permission denied" in ui.casesRemark.text and lib.data._command is None


def test_a_typed_work_folder_is_found_after_a_restart(lib, ui, app, tmp_path):
    from UVLMShared import Settings

    ui.workFolderEdit.text = str(tmp_path / "work")
    ui.workFolderEdit.editingFinished.emit()
    assert Settings.value("trainWorkFolder") == str(tmp_path / "work")


def test_a_recipe_that_was_put_right_in_an_editor_is_read_again(lib, ui, tmp_path, started):
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", steps=10))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    writeRecipe(tmp_path / "r.json", steps=77)
    ui.startButton.click()
    assert json.loads((tmp_path / "run" / "planned_recipe.json").read_text())["stages"][0]["steps"] == 77


@pytest.fixture()
def estimates(monkeypatch, lib):
    """The commands that were asked for; a quick one runs in their place."""
    from UVLMTrainLib import PlanPanel
    from UVLMTrainLib.CoreCommand import CoreCommand

    asked: list[list[list[str]]] = []

    def quick(commands, done, failed, began=None):
        asked.append(commands)
        return CoreCommand([["--version"]] * len(commands), done, failed, began)

    monkeypatch.setattr(PlanPanel, "CoreCommand", quick)
    return asked


def writeEstimate(run: Path, seconds: float) -> None:
    """estimate.json as `uvlm train --estimate` leaves it."""
    run.mkdir(parents=True, exist_ok=True)
    row = {"number": 1, "kind": "segmentation", "steps": 10, "seconds_per_step": seconds, "seconds": 10 * seconds,
           "memory_mib": None, "available_mib": None, "advice": [], "parameters": 10}
    (run / "estimate.json").write_text(json.dumps({"stages": [row]}))


def test_an_estimate_is_of_the_plan_that_is_shown(lib, ui, app, tmp_path, estimates):
    recipe, other = writeRecipe(tmp_path / "r.json"), writeRecipe(tmp_path / "s.json", steps=99999)
    writeEstimate(tmp_path / "A", 1.0)
    writeEstimate(tmp_path / "B", 99.0)
    lib.plan.useRecipeFile(recipe)
    lib.plan.useRecipeFile(other)
    for change in (lambda: lib.plan.setRunFolder(str(tmp_path / "B")), lambda: lib.plan.useRecipeFile(other),
                   lambda: lib.plan.choose(ui.stageSelector, 1), lambda: lib.plan.choose(ui.startSelector, "none"),
                   lambda: lib.plan.choose(ui.deviceSelector, "cuda"), lambda: ui.skipCheckBox.toggle()):
        lib.plan.useRecipeFile(recipe)
        lib.plan.choose(ui.stageSelector, 0)
        lib.plan.setRunFolder(str(tmp_path / "A"))
        lib.plan.estimate()
        change()
        assert lib.plan._command is None and ui.estimateButton.text == "Estimate"
        app.processEvents(0.2)
        assert "changed" in ui.estimateRemark.text
    lib.plan.estimate()
    assert app.processUntil(lambda: lib.plan._command is None) and "10 steps of 1.00 s" in ui.estimateRemark.text
    lib.plan.useRecipeFile(other)
    assert ui.estimateRemark.text == ""


def test_an_estimate_ends_where_its_folder_is_gone(lib, ui, app, tmp_path, estimates, monkeypatch):
    import shutil

    def gone(path):
        raise FileNotFoundError(2, "No such file or directory", path)

    writeEstimate(tmp_path / "A", 1.0)
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json"))
    lib.plan.setRunFolder(str(tmp_path / "A"))
    monkeypatch.setattr(shutil, "disk_usage", gone)
    lib.plan.estimate()
    assert app.processUntil(lambda: lib.plan._command is None)
    assert "Disk: 1 MB for weights." in ui.estimateRemark.text
    (tmp_path / "A" / "estimate.json").write_text('{"stages": [{"number": 1}]}')  # of another version
    lib.plan.estimate()
    assert app.processUntil(lambda: lib.plan._command is None) and ui.estimateButton.text == "Estimate"
    assert "Error" in ui.estimateRemark.text


def test_scripts_are_written_when_the_estimate_is_done(lib, ui, app, tmp_path, estimates):
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json"))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    lib.plan.estimate()
    assert not ui.shellButton.enabled and not ui.slurmButton.enabled
    lib.plan.estimate()  # a second click stops it
    assert ui.shellButton.enabled and ui.slurmButton.enabled and ui.estimateRemark.text == "Stopped."
    lib.plan.writeScript("shell", str(tmp_path / "job.sh"))
    assert not ui.estimateButton.enabled
    assert app.processUntil(lambda: lib.plan._command is None) and ui.estimateButton.enabled


def test_a_script_keeps_its_recipe_and_its_cases(lib, ui, app, tmp_path):
    """A script for a cluster is written; then something else is planned for the same run folder."""
    work, job = tmp_path / "work", tmp_path / "job.sh"
    writeTable(work, ["a"])
    openWork(lib, app, work)
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "r.json", "table", steps=11))
    lib.plan.setRunFolder(str(tmp_path / "run"))
    lib.plan.writeScript("shell", str(job))
    assert app.processUntil(lambda: lib.plan._command is None)
    own = next(Path(word) for word in job.read_text().split() if word.endswith(".json"))
    recipe = json.loads(own.read_text())
    cases = Path(recipe["data"][0]["path"]).read_text()
    writeTable(work, ["b"])
    openWork(lib, app, work)
    lib.plan.useRecipeFile(writeRecipe(tmp_path / "s.json", "table", steps=22))
    lib.plan.arguments()
    assert own.parent == tmp_path and json.loads(own.read_text()) == recipe and recipe["stages"][0]["steps"] == 11
    assert Path(recipe["data"][0]["path"]).read_text() == cases and "a.nii.gz" in cases


def test_models_to_start_from_can_be_told_apart(lib, ui, tmp_path):
    for name in ("A/run/bundle", "A/second run/bundle", "B/run/bundle", "mine"):
        lib.plan.choose(ui.startSelector, str(tmp_path / name))
    count = ui.startSelector.count
    assert [ui.startSelector.itemText(number) for number in range(count - 4, count)] == [
        "run", "second run", f"run ({tmp_path / 'B' / 'run' / 'bundle'})", "mine"]


def test_cases_that_were_shown_leave_nothing_in_the_scene(lib, tmp_path):
    import nibabel
    import numpy as np
    import slicer
    from UVLMTrainLib.CaseRows import CaseRow

    for name in ("image", "labels"):
        nibabel.save(nibabel.Nifti1Image(np.ones((8, 8, 8), np.int16), np.eye(4)), str(tmp_path / f"{name}.nii.gz"))
    row = CaseRow("case", {"image": "image.nii.gz", "labels": "labels.nii.gz", "label_names": '{"1": "liver"}'},
                  str(tmp_path))
    lib.data.showCase(row)
    count = slicer.mrmlScene.GetNumberOfNodes()
    for _number in range(3):
        lib.data.showCase(row)
    assert slicer.mrmlScene.GetNumberOfNodes() == count
