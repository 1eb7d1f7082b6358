"""The short commands of the core that UVLMTrain runs as child processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture()
def command(openModule, monkeypatch):
    """Makes commands that cannot be started; as on Windows, Qt tells that within start()."""
    openModule("UVLMTrain")
    from UVLMTrainLib import CoreCommand

    monkeypatch.setattr(CoreCommand, "pythonSlicer", lambda: "")
    return CoreCommand.CoreCommand


def test_a_failure_within_start_is_told_after_the_constructor(command, app):
    done, failed = [], []
    running = command([["dataset", "check"]], done.append, failed.append)
    assert running.running and not failed
    assert app.processUntil(lambda: failed)
    assert "could not be started" in failed[0] and not done and not running.running


def test_a_cancelled_start_is_not_told(command, app):
    failed = []
    command([["dataset", "check"]], print, failed.append).cancel()
    app.processEvents(0.1)
    assert not failed


# Stands for Slicer: it starts a command that takes minutes, says which process that is, and is killed.
SLICER = """
import sys, time
sys.path[:0] = [sys.argv[1] + "/Testing", sys.argv[1]]
import harness
harness.start()
import slicer
from pathlib import Path
harness.load_module(Path(sys.argv[1]) / "UVLMTrain" / "UVLMTrain.py")
slicer.util.selectModule("UVLMTrain")
from UVLMTrainLib.CoreCommand import CoreCommand
command = CoreCommand([["phantom", "60", "-o", sys.argv[2]]], print, print)
while not list(Path(sys.argv[2]).rglob("*.nii.gz")):
    slicer.app.processEvents()
    time.sleep(0.01)
print("CHILD", flush=True)
time.sleep(600)
"""


def test_no_command_outlives_a_slicer_that_is_killed(app, tmp_path):
    root = str(Path(__file__).resolve().parents[2])
    with subprocess.Popen([sys.executable, "-c", SLICER, root, str(tmp_path / "cases")], stdout=subprocess.PIPE,
                          text=True) as parent:
        assert any(line.startswith("CHILD") for line in parent.stdout)
        parent.kill()
        parent.wait()

    def count():
        return len(list((tmp_path / "cases").rglob("*.nii.gz")))

    app.processEvents(2)  # enough to notice it
    left = count()
    app.processEvents(5)
    assert count() == left
