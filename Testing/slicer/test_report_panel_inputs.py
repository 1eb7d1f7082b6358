"""The sections Inputs and Export, and repairing, through the real panel; the worker is the real one."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from panel_study import OpenPanel

DEMO = Path(__file__).resolve().parents[2] / "Resources" / "Models" / "demo"
MISSING = [{"package": "torch", "requirement": "torch>=2.6", "problem": "not installed"}]


@pytest.fixture()
def widget(openModule):
    widget = openModule("UVLMReport")
    widget.panel.askTimer.stop()
    return widget


@pytest.fixture()
def settings():
    """UVLM's settings, as they were afterwards."""
    from UVLMShared import Settings

    names = ("recentModels", "modelsFolder", "trainingFolder", "exportFolder")
    before = {name: Settings.value(name, None) for name in names}
    yield Settings
    import qt

    for name, value in before.items():
        if value is None:
            qt.QSettings().remove(f"UVLM/{name}")
        else:
            Settings.setValue(name, value)


def magnetic_resonance():
    import slicer

    values = np.abs(np.random.default_rng(0).normal(300, 90, (24, 48, 48))).astype(np.int16)
    return slicer.util.addVolumeFromArray(values, np.diag([-4.0, -4.0, 5.0, 1.0]), "MR")


def test_nothing_can_be_generated_without_a_volume(widget):
    assert not widget.ui.generateButton.enabled
    assert widget.ui.generateButton.text == "Generate report"


def test_another_image_is_refused_with_the_reason(widget):
    widget.ui.volumeSelector.setCurrentNode(magnetic_resonance())
    assert not widget.ui.generateButton.enabled
    assert "HU" in widget.ui.volumeRemark.text
    assert not widget.ui.volumeRemark.isHidden()


def test_what_is_missing_is_said_with_a_button(widget):
    widget.panel.inputs._onHello({"versions": {}, "devices": [], "missing": MISSING})
    assert widget.ui.statusLabel.text == "Missing: torch"
    assert not widget.ui.repairButton.isHidden()
    widget.panel.inputs._onHello({"versions": {}, "devices": [], "missing": [
        dict(MISSING[0], problem="DLL load failed")]})
    assert "DLL load failed" in widget.ui.statusLabel.text
    widget.panel.inputs._onHello({"versions": {}, "devices": [], "missing": []})
    assert widget.ui.repairButton.isHidden()


def test_torch_without_the_extension_says_where_to_get_it(widget):
    from UVLMReportLib import Repair

    with pytest.raises(Repair.RepairFailure, match="Extensions Manager"):
        Repair.install(MISSING)


def test_torch_is_installed_by_the_extension(widget, monkeypatch):
    """PyTorchUtils belongs to another extension; its two calls are those of its own documentation."""
    from types import SimpleNamespace

    from UVLMReportLib import Repair

    calls = []

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation=False, forceComputationBackend=None, torchVersionRequirement=None):
            calls.append(("install", torchVersionRequirement))
            return object()

        def uninstallTorch(self, askConfirmation=False, forceComputationBackend=None):
            calls.append(("uninstall", None))

    monkeypatch.setitem(sys.modules, "PyTorchUtils", SimpleNamespace(PyTorchUtilsLogic=PyTorchUtilsLogic))
    Repair.install(MISSING)
    assert calls == [("install", ">=2.6")]
    Repair.install([dict(MISSING[0], problem="libtorch is damaged")])
    assert calls[1:] == [("uninstall", None), ("install", ">=2.6")]


def test_a_restart_is_recommended_after_a_repair(widget, monkeypatch):
    from UVLMReportLib import Repair

    inputs = widget.panel.inputs
    monkeypatch.setattr(Repair, "askHow", lambda missing: Repair.INTERNET)
    monkeypatch.setattr(Repair, "install", lambda missing, folder: None)
    monkeypatch.setattr(inputs, "askWorker", lambda: inputs._onHello({"versions": {}, "devices": [], "missing": []}))
    inputs._onHello({"versions": {}, "devices": [], "missing": MISSING})
    widget.ui.repairButton.click()
    assert "Restart Slicer" in widget.ui.statusLabel.text


def test_a_folder_of_wheels_needs_no_internet(widget, tmp_path):
    from UVLMReportLib import Repair

    folder = tmp_path / "wheels ü"
    folder.mkdir()
    name, info = "uvlm_wheel_of_a_test", "uvlm_wheel_of_a_test-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", "VALUE = 7\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
                                        "Tag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    row = {"package": name, "requirement": f"{name}>=1.0", "problem": "not installed"}
    try:
        Repair.install([row], str(folder))
        found = subprocess.run([sys.executable, "-c", f"import {name}; print({name}.VALUE)"], capture_output=True,
                               text=True)
        assert found.stdout.strip() == "7", found.stderr
        with pytest.raises(Repair.RepairFailure, match="wheels"):
            Repair.install([dict(row, requirement=f"{name}>=2.0")], str(folder))
    finally:
        subprocess.run([sys.executable, "-m", "pip", "uninstall", "-y", "-q", name.replace("_", "-")], check=True)


def test_models_are_remembered(widget, settings, tmp_path, monkeypatch):
    import slicer

    shutil.copytree(DEMO, tmp_path / "my model")
    chosen = []
    widget.panel.inputs.model.changed.connect(chosen.append)
    widget.panel.inputs.model.useFolder(str(tmp_path / "my model"))
    assert chosen == [str(tmp_path / "my model")]
    assert widget._parameterNode.bundle == str(tmp_path / "my model")
    assert settings.recentModels()[0] == str(tmp_path / "my model")
    told = []
    monkeypatch.setattr(slicer.util, "warningDisplay", told.append)
    widget.panel.inputs.model.useFolder(str(tmp_path))
    assert "bundle.json" in told[0]
    assert widget.panel.inputs.model.folder == str(tmp_path / "my model")
    shutil.rmtree(tmp_path / "my model")
    assert str(tmp_path / "my model") not in settings.recentModels()
    widget.logic.worker.stop()


def test_the_worker_tells_versions_devices_and_the_model(widget, app, tmp_path):
    other = shutil.copytree(DEMO, tmp_path / "other")
    widget._parameterNode.bundle = str(other)
    widget.panel.inputs.askWorker()
    widget._parameterNode.bundle = ""  # while the worker starts: it is asked about this model too
    assert app.processUntil(lambda: widget.panel.inputs.model.info is not None, 90)
    assert app.processUntil(lambda: "PyTorch 2" in widget.ui.statusLabel.text, 90)
    info = json.loads((DEMO / "bundle.json").read_text("utf-8"))
    assert info["name"] in widget.ui.modelSelector.currentText
    assert f"{info['name']} {info['version']}" in widget.ui.statusLabel.text
    assert "Licence" in widget.ui.modelRemark.text
    assert "esearch" in widget.ui.modelRemark.text
    assert "CPU" in widget.ui.deviceSelector.itemText(1)


def test_generate_becomes_cancel_and_shows_progress(openModule, app, tmp_path):
    panel = OpenPanel(openModule, app, tmp_path)
    panel.ui.generateButton.click()
    assert panel.ui.generateButton.text == "Cancel"
    seen = []
    panel.logic.progressed.connect(lambda progress: seen.append(panel.ui.progressLabel.text))
    assert app.processUntil(lambda: any(text.startswith("Loading the model") for text in seen), 120)
    panel.ui.generateButton.click()
    assert app.processUntil(lambda: not panel.logic.isRunning())
    assert panel.ui.generateButton.text == "Generate report"
    assert panel.ui.statusLabel.text == "Cancelled."
    assert panel.ui.progressBar.isHidden()
    assert panel.panel.study is panel.study  # the report from before is still shown


def test_generated_report_is_shown(openModule, app, tmp_path):
    panel = OpenPanel(openModule, app, tmp_path)
    values = []
    panel.logic.progressed.connect(lambda progress: values.append(panel.ui.progressBar.value))
    panel.ui.generateButton.click()
    assert app.processUntil(lambda: panel.panel.study is not panel.study, 300)
    assert not panel.logic.isRunning()
    assert panel.text == panel.panel.study.report.layout().text
    assert len(panel.panel.findings.visibleNames()) == 21
    assert values == sorted(values) and values[-1] > 900


def test_the_report_stays_when_its_volume_is_deleted(openModule, app, tmp_path):
    import slicer

    panel = OpenPanel(openModule, app, tmp_path)
    text = panel.text
    slicer.mrmlScene.RemoveNode(panel.volume)
    app.processEvents(0.1)
    assert panel.panel.inputs.volumeNode is None
    assert panel.panel.study is panel.study and panel.text == text != ""
    slicer.util.selectModule("SegmentEditor")
    slicer.util.selectModule("UVLMReport")
    app.processEvents(0.1)
    assert panel.text == text


def test_exports_are_where_the_panel_says(openModule, app, tmp_path, settings):
    panel = OpenPanel(openModule, app, tmp_path)
    panel.put_cursor("No pneumothorax", before=True)
    panel.type("Really ")
    for ending, write in (("html", panel.logic.exportHtml), ("txt", panel.logic.exportText),
                          ("pdf", panel.logic.exportPdf)):
        path = tmp_path / f"report ü.{ending}"
        panel.panel.export.exportFile(str(path), write)
        assert str(path) in panel.ui.exportRemark.text
        assert path.stat().st_size > 500
    assert "Really No pneumothorax" in (tmp_path / "report ü.txt").read_text("utf-8")
    settings.setValue("trainingFolder", str(tmp_path / "cases"))
    (tmp_path / "cases").mkdir()
    panel.ui.keepButton.click()
    assert app.processUntil(lambda: panel.ui.exportRemark.text.startswith("Written"), 120), panel.ui.exportRemark.text
    panel.ui.keepButton.click()
    assert app.processUntil(lambda: len(list((tmp_path / "cases").iterdir())) >= 2, 120)
