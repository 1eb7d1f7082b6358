"""The steps Run and Result on the edge: early requests, a second Slicer, odd files, figures of another measurement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from test_train_parts import HOLDER, row

CORE = """
import signal, sys, time
def main():
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        try:
            time.sleep(0.05)
        except KeyboardInterrupt:  # as some imports do
            pass
    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(True))
    end = time.monotonic() + 30
    while not heard and time.monotonic() < end:
        time.sleep(0.05)
    sys.exit(130 if heard else 1)
"""


@pytest.fixture()
def panel(openModule):
    return openModule("UVLMTrain").panel


def opened(panel, folder: Path):
    """The run of a folder in the panel."""
    panel.plan.setRunFolder(str(folder))
    assert panel.run.run.path == str(folder)
    return panel.run.run


def test_a_pause_in_the_first_seconds_is_heard(panel, tmp_path):
    """While the core's packages are imported an interrupt gets lost in them."""
    from UVLMTrainLib import RunChild

    (tmp_path / "core" / "uvlm_core").mkdir(parents=True)
    (tmp_path / "core" / "uvlm_core" / "__init__.py").write_text("")
    (tmp_path / "core" / "uvlm_core" / "cli.py").write_text(CORE)
    run = tmp_path / "run"
    run.mkdir()
    (run / RunChild.REQUEST).write_text(RunChild.PAUSE)
    done = subprocess.run([sys.executable, RunChild.__file__, str(tmp_path / "core"), str(run), "train"], timeout=60)
    assert done.returncode == 130
    assert json.loads((run / RunChild.STATE).read_text())["code"] == RunChild.CANCELLED


def test_a_start_that_is_refused_changes_nothing_of_the_run_that_goes_on(panel, tmp_path):
    from UVLMTrainLib import RunChild
    from UVLMTrainLib import RunFolder as Run

    (tmp_path / "train_arguments.json").write_text('["first.json", "-o", "there", "--device", "cuda"]')
    (tmp_path / Run.PLAN).write_text('{"name": "first", "stages": []}')
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    opened(panel, tmp_path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(Path(RunChild.__file__).parent),
                           str(tmp_path / RunChild.LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdout.readline().strip() == "True"
        panel.run.start()  # the panel still shows the state from before
        assert "at work" in panel.run.ui.runRemark.text
        assert panel.run.state == Run.RUNNING
        panel.run.cleanup()
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_a_run_that_was_ended_before_it_wrote_its_recipe_goes_on_with_its_own(panel, tmp_path):
    from UVLMTrainLib import RunChild
    from UVLMTrainLib import RunFolder as Run

    arguments = [str(tmp_path / Run.PLAN), "-o", str(tmp_path), "--device", "cpu"]
    (tmp_path / "train_arguments.json").write_text(json.dumps(arguments))
    (tmp_path / Run.PLAN).write_text('{"name": "own", "stages": [{"kind": "segmentation", "steps": 4}]}')
    (tmp_path / "stage1-segmentation").mkdir()
    (tmp_path / RunChild.STATE).write_text(json.dumps({"command": ["train"], "code": RunChild.CANCELLED}))
    opened(panel, tmp_path)
    assert panel.run.state == Run.PAUSED
    assert panel.run._arguments() == arguments


@pytest.mark.parametrize("name, text", [
    ("recipe.json", "[]"), ("run.json", "[1]"), ("run.json", '{"command": "train", "code": 0}'),
    ("train_arguments.json", "{}"), ("comparison.json", "[]"), ("stage1-segmentation/metrics.jsonl", "[1]\n3\n"),
    ("stage1-segmentation/metrics.jsonl", '{"step": 1, "loss": null, "seconds": "x"}\n'),
])
def test_files_of_another_shape_do_not_keep_the_module_from_opening(panel, app, tmp_path, name, text):
    (tmp_path / "recipe.json").write_text('{"name": "x", "stages": [{"kind": "segmentation", "steps": 4}]}')
    (tmp_path / "stage1-segmentation").mkdir()
    (tmp_path / "stage1-segmentation" / "metrics.jsonl").write_text(row(1))
    (tmp_path / name).write_text(text)
    opened(panel, tmp_path)
    app.processEvents(0.1)


def test_a_run_of_another_user_is_held_only_while_somebody_works_in_it(panel, tmp_path, monkeypatch):
    from UVLMTrainLib import RunChild

    def notOurs(path):
        raise PermissionError(path)

    (tmp_path / RunChild.LOCK).write_bytes(b"")
    monkeypatch.setattr(RunChild, "takeLock", notOurs)
    assert not RunChild.isHeld(str(tmp_path))
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(Path(RunChild.__file__).parent),
                           str(tmp_path / RunChild.LOCK)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as holder:
        assert holder.stdout.readline().strip() == "True"
        assert RunChild.isHeld(str(tmp_path))


def test_figures_of_an_earlier_measurement_are_said_to_be_that(panel, app, tmp_path):
    from UVLMTrainLib import RunChild

    (tmp_path / "recipe.json").write_text('{"name": "x", "stages": []}')
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "bundle.json").write_text(json.dumps(
        {"name": "x", "version": "1", "thresholds": {"Emphysema": 0.5},
         "figures": {"cases": 1, "finding_f1_per_name": {"Emphysema": 1.0}}}))
    (tmp_path / "measured").mkdir()
    for seed in (900000, 900001):  # the second one is of a measurement with more phantoms
        (tmp_path / "measured" / f"{seed}.json").write_text(json.dumps(
            {"present": {"Emphysema": True}, "probabilities": {"Emphysema": 0.9}}))
    (tmp_path / RunChild.STATE).write_text(json.dumps({"command": ["export"], "code": RunChild.CANCELLED}))
    opened(panel, tmp_path)
    assert app.processUntil(lambda: panel.result.shown)
    remark = panel.result.ui.resultRemark.text
    assert "stopped or failed" in remark and "one before" in remark
    found = next(texts for texts in panel.result.table.texts() if "mphysema" in texts[0])
    assert found[4] == "1/1"


def test_a_model_that_is_gone_is_said_to_be(panel, tmp_path):
    opened(panel, tmp_path)
    panel.result.use()
    assert "not in" in panel.result.ui.resultRemark.text
