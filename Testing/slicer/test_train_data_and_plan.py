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
