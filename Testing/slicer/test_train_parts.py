"""Parts of UVLMTrain: metrics as they come, the lock of a run, large tables, what opening the module costs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest


@pytest.fixture()
def lib(openModule):
    """The panel of the opened module; then UVLMTrainLib can be imported."""
    return openModule("UVLMTrain").panel


def row(step: int, **more) -> str:
    return json.dumps({"step": step, "loss": float(step), "seconds": 0.5, **more}) + "\n"


def test_metrics_are_followed_and_read_again_after_a_resume(lib, tmp_path):
    from UVLMTrainLib.MetricsReader import MetricsReader, columns, points, secondsPerStep

    path = tmp_path / "metrics.jsonl"
    reader = MetricsReader(str(path))
    assert reader.read() == (False, False)
    path.write_text(row(1) + row(2) + '{"step": 3, "lo')
    assert reader.read() == (True, False) and [found["step"] for found in reader.rows] == [1, 2]
    path.write_text(row(1) + row(2) + row(3, validation_score=0.5))  # the resumed run repeats step 3
    while reader.read()[0]:
        pass
    assert [found["step"] for found in reader.rows] == [1, 2, 3]
    path.write_text(row(1) + "".join(row(step, validation_score=0.1) for step in range(2, 90)))
    while reader.read()[0]:
        pass
    assert [found["step"] for found in reader.rows] == list(range(1, 90))
    assert columns(reader.rows, False) == ["loss"] and columns(reader.rows, True) == ["validation_score"]
    steps, values = points(reader.rows, ["loss"], most=10)
    assert len(steps) <= 10 and steps[-1] == 89 and values["loss"][0] == 5.0  # mean of 1 to 9
    assert secondsPerStep(reader.rows) == 0.5


def test_lines_that_are_missing_do_not_stop_the_curves(lib, tmp_path):
    from UVLMTrainLib.MetricsReader import MetricsReader

    path = tmp_path / "metrics.jsonl"
    path.write_text(row(1) + row(2))
    reader = MetricsReader(str(path))
    assert reader.read() == (True, False)
    path.write_text(row(1) + row(2) + row(4) + row(5))
    reads = [reader.read() for _ in range(4)]
    assert reads[-1] == (False, False) and [found["step"] for found in reader.rows] == [1, 2, 4, 5]


HOLDER = "import sys; sys.path.insert(0, sys.argv[1]); import RunChild; f = RunChild.takeLock(sys.argv[2]); " \
         "print(f is not None, flush=True); sys.stdin.read()"


def test_only_a_living_process_holds_a_run(lib, tmp_path):
    from UVLMTrainLib import RunChild
    from UVLMTrainLib.RunFolder import KILLED, RUNNING, RunFolder

    RunChild.writeJson(str(tmp_path / RunChild.STATE), {"command": ["train"], "pid": 1})  # a process that lives
    run = RunFolder(str(tmp_path))
    assert run.state() == KILLED
    folder = RunChild.__file__.rpartition("/")[0]
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, folder, str(tmp_path / RunChild.LOCK)],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout.readline() == "True\n"
        assert run.state() == RUNNING
        with pytest.raises(RuntimeError, match="already"):
            run.train(["demo"])
        holder.kill()
        holder.wait()
    assert run.state() == KILLED


def test_a_run_that_a_script_started_is_followed_but_cannot_be_asked(lib, tmp_path):
    import slicer
    from UVLMTrainLib import RunChild

    ui, folder = slicer.modules.UVLMTrainWidget.ui, RunChild.__file__.rpartition("/")[0]
    with subprocess.Popen([sys.executable, "-c", HOLDER, folder, str(tmp_path / RunChild.LOCK)],
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as script:
        assert script.stdout.readline() == "True\n"
        lib.plan.setRunFolder(str(tmp_path))
        assert "script" in ui.runStateLabel.text and lib.run.state == "running"
        assert not any(button.enabled for button in (ui.startButton, ui.pauseButton, ui.stopButton))
        lib.run.ask(RunChild.PAUSE)
        assert not (tmp_path / RunChild.REQUEST).exists()
        script.kill()
        script.wait()
    lib.run.refresh()
    assert lib.run.state == "none" and ui.startButton.enabled


def test_after_a_single_stage_the_plan_says_what_comes_next(lib, tmp_path):
    """And after an error the plan, which may have been put right; what was paused goes on as it was begun."""
    import slicer
    from UVLMTrainLib import RunChild, RunFolder

    ui = slicer.modules.UVLMTrainWidget.ui
    recipe = {"name": "two", "preset": "demo", "seed": 1, "data": [{"name": "p", "kind": "phantoms", "count": 1,
                                                                     "first_seed": 5}],
              "stages": [{"kind": kind, "steps": 2} for kind in ("segmentation", "classification")]}
    (tmp_path / "two.json").write_text(json.dumps(recipe))
    run = tmp_path / "run"
    (run / "stage1-segmentation").mkdir(parents=True)
    for name in ("metrics.jsonl", "model.safetensors"):
        (run / "stage1-segmentation" / name).write_text("")
    (run / "recipe.json").write_text(json.dumps(recipe))
    own = [str(run / "recipe.json"), "-o", str(run)]
    RunChild.writeJson(str(run / "train_arguments.json"), [*own, "--stage", "1"])
    lib.plan.useRecipeFile(str(tmp_path / "two.json"))
    lib.plan.choose(ui.stageSelector, 2)
    for code, state, plan in ((0, RunFolder.PART, True), (RunChild.UNEXPECTED, RunFolder.FAILED, True),
                              (RunChild.CANCELLED, RunFolder.PAUSED, False)):
        RunChild.writeJson(str(run / RunChild.STATE), {"command": ["train"], "pid": 1, "code": code})
        lib.plan.setRunFolder(str(run))
        lib.run.refresh()
        assert lib.run.state == state and ui.startButton.enabled
        found = lib.run._arguments()
        assert ("--stage" in found and found[found.index("--stage") + 1]) == ("2" if plan else "1")
    other = {**recipe, "name": "another"}  # a plan of something else does not get into the run
    (tmp_path / "two.json").write_text(json.dumps(other))
    lib.plan.refresh()
    RunChild.writeJson(str(run / RunChild.STATE), {"command": ["train"], "pid": 1, "code": RunChild.UNEXPECTED})
    lib.run.refresh()
    assert lib.run._arguments()[:3] == own


def test_stopping_a_check_leaves_no_table_of_the_data_set_before(lib, app, tmp_path):
    from UVLMTrainLib import CaseRows

    (tmp_path / "data").mkdir()
    (tmp_path / "cases.csv").write_text("case_id,image,split\na,a.nii.gz,train\n")
    (tmp_path / CaseRows.USABLE).write_text("case_id,image,split\nold,old.nii.gz,train\n")
    lib.data.setFolders(str(tmp_path / "data"), str(tmp_path))
    lib.data.cancel()  # the guess
    lib.data.importAndCheck()
    assert not (tmp_path / CaseRows.USABLE).exists() and lib.data.trainingTable == ""
    lib.data.cancel()
    assert app.processUntil(lambda: "Stopped" in lib.data.ui.casesRemark.text), lib.data.ui.casesRemark.text
    assert "old" not in Path(lib.data.trainingTable).read_text("utf-8") and [row.name for row in lib.data.rows] == ["a"]


def test_recipes_that_need_scans_of_their_own_are_not_offered(lib):
    from UVLMTrainLib import Recipes

    assert Recipes.names()[0] == "finetune-corrections" and "demo" not in Recipes.names()


def test_a_large_table_does_not_stop_the_window(lib, app, loopMeter, tmp_path, short_collections):
    names = ["case_id", "root", "image", "report", "split"]
    with open(tmp_path / "cases.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows({"case_id": f"case_{number}", "image": f"{number}.nii.gz", "report": "Findings: none. " * 30,
                          "split": "train"} for number in range(3000))
    (tmp_path / "checked").mkdir()
    with open(tmp_path / "checked" / "problems.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["severity", "case_id", "kind", "message", "file", "advice"])
        writer.writerows(["error", f"case_{number}", "unreadable", "cut off", "", ""] for number in range(1500, 1510))
    with loopMeter() as meter:
        lib.data.setFolders("", str(tmp_path))
        assert app.processUntil(lambda: len(lib.data.rows) == 3000)
    assert meter.longest_own < 0.1  # of processor time: read in parts, and rows answer when they are drawn
    assert lib.data.rows[0].name == "case_1500" and lib.data.table.texts()[2999][0] == "case_2999"
    with open(lib.data.trainingTable, newline="") as file:
        assert len(list(csv.DictReader(file))) == 2990


def test_a_table_brings_its_own_names_and_store(lib):
    from UVLMTrainLib import Recipes

    source = {"name": "cases", "kind": "table", "path": "old.csv", "mapping": "old.json", "store": "old"}
    recipe = {"data": [source, {"name": "more", "kind": "phantoms"}], "stages": []}
    made, _has_table = Recipes.planned(recipe, "/new/cases.csv", "", "/new/names.json")
    assert made["data"] == [{"name": "cases", "kind": "table", "path": "/new/cases.csv", "mapping": "/new/names.json"},
                            {"name": "more", "kind": "phantoms"}]
    assert Recipes.planned(recipe, "", "")[0]["data"][0] == source  # no table was chosen


def test_long_texts_of_a_run_are_cut_to_their_end(lib, tmp_path):
    from UVLMTrainLib import RunChild
    from UVLMTrainLib.RunFolder import RunFolder

    started = time.perf_counter()
    end = "Fälle\rFälle: 3/3\rmasks: 7/9\x1b[A\r\nlast\n"
    (tmp_path / RunChild.LOG).write_bytes(b"first\n" * 100_000 + end.encode())
    tail = RunFolder(str(tmp_path)).logTail()
    assert tail.endswith("masks: 7/9\nlast") and len(tail.splitlines()) <= 40
    assert time.perf_counter() - started < 1


def test_what_a_refused_model_does_is_shown_too(lib, app, tmp_path):
    from UVLMTrainLib import RunFolder as Run

    stage = tmp_path / "stage1-segmentation"
    (stage).mkdir()
    (stage / Run.WEIGHTS).touch()
    model = {"overlap": {"liver": [1, 4], "lung_nodule": [0, 2]}, "probabilities": {"Lung nodule": 0.2}}
    case = {"name": "one", "source": "cases", "files": False, "present": {"Lung nodule": 1}, "before": None,
            "after": model, "score": {"after": 0.15}}
    (tmp_path / "held_out").mkdir()
    for name, values in (("recipe.json", {"stages": [{"kind": "segmentation", "steps": 1}], "data": []}),
                         ("run.json", {"command": ["export"], "code": 65}), ("held_out/cases.json", {"cases": [case]}),
                         ("comparison.json", {"before": {}, "after": {"cases": {"organ_dice": 0.25}}, "refused": []})):
        (tmp_path / name).write_text(json.dumps(values))
    lib.run.open(str(tmp_path))
    assert lib.run.state == Run.FAILED
    assert app.processUntil(lambda: lib.result.shown)
    rows = {row[0]: row[1:] for row in lib.result.table.texts()}
    assert rows["cases: organ dice"] == ["", "0.250", "", "", ""] and rows["Organ: liver"][1] == "0.250"
    assert rows["Finding: Lung nodule"] == ["", "0.000", "0.500", "0/1", ""]
    assert "was not made" in lib.result.ui.resultRemark.text and not lib.result.ui.useButton.enabled


def test_kept_cases_of_the_report_module_are_one_click_away(lib, app, tmp_path):
    import slicer

    from UVLMShared import Settings

    ui = slicer.modules.UVLMTrainWidget.ui
    ui.keptCasesButton.click()
    assert "not kept" in ui.importerRemark.text
    kept = tmp_path / "Fälle" / "20260102-101500-chest-3f9a"
    kept.mkdir(parents=True)
    (kept / "case.json").write_text('{"schema": "uvlm-kept-case/1", "case_id": "20260102-101500-chest-3f9a"}')
    Settings.setValue("trainingFolder", str(kept.parent))
    ui.keptCasesButton.click()
    assert app.processUntil(lambda: ui.importerSelector.count), ui.importerRemark.text
    assert ui.importerSelector.itemText(0) == "kept-cases" and ui.dataFolderEdit.text == str(kept.parent)


def test_what_cannot_be_is_said_in_words(lib, app, tmp_path):
    import slicer
    from UVLMTrainLib import Recipes

    ui = slicer.modules.UVLMTrainWidget.ui
    lib.data.setFolders(str(tmp_path / "nowhere"), str(tmp_path))
    assert app.processUntil(lambda: "no folder" in ui.importerRemark.text), ui.importerRemark.text
    (tmp_path / "broken.json").write_text('{"stages": [{"steps": 3}], "data": []}')
    with pytest.raises(Recipes.RecipeTrouble, match="needs lists"):
        Recipes.read(str(tmp_path / "broken.json"))
    lib.plan.useRecipeFile(str(tmp_path / "broken.json"))
    assert "not a recipe" in ui.recipeRemark.text
    lib.run.open(str(tmp_path / "run"))
    ui.startButton.click()
    assert "not a recipe" in ui.runRemark.text and lib.run.state == "none"
