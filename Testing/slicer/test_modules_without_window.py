"""Both modules in a Slicer without a main window and without views, as Slicer's own generic tests of modules start it
(--no-main-window): the panel is made, used a little and goes again."""

from __future__ import annotations

from pathlib import Path

import harness
import pytest
import slicer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def noWindow(scene, monkeypatch):
    window = slicer.app._main_window
    monkeypatch.setattr(slicer.app, "_layout", None)
    window.setObjectName("none")
    yield
    window.setObjectName("qSlicerMainWindow")


@pytest.mark.parametrize("name", ["UVLMReport", "UVLMTrain"])
def test_the_panel_is_made_and_goes(name, noWindow, app):
    assert slicer.util.mainWindow() is None and slicer.app.layoutManager() is None
    module = harness.load_module(ROOT / name / f"{name}.py")
    panel = module.widgetRepresentation()
    assert panel is module.widgetRepresentation()
    python = getattr(slicer.modules, name + "Widget")
    python.enter()
    app.processEvents(0.1)
    slicer.mrmlScene.Clear(0)
    if hasattr(python, "exit"):
        python.exit()
    harness.unload_module(name)
    assert not hasattr(slicer.modules, name + "Widget")
