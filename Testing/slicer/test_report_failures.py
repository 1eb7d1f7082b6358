"""What fails on our own side is told in the panel, and nothing is stuck afterwards."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress

import pytest
from panel_study import OpenPanel


@pytest.fixture()
def panel(openModule, app, tmp_path):
    return OpenPanel(openModule, app, tmp_path)


@contextmanager
def small_files():
    """No file may grow beyond 20 kB, as on a disk that is nearly full."""
    resource = pytest.importorskip("resource", reason="limits of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_whose_folder_cannot_be_made_can_be_tried_again(panel, app, tmp_path):
    good = panel.logic.folder
    (tmp_path / "file").write_text("")
    panel.logic.folder = str(tmp_path / "file")
    panel.ui.generateButton.click()
    assert "cannot be written or read" in panel.ui.statusLabel.text and "run-" in panel.ui.statusLabel.text
    assert not panel.logic.isRunning() and panel.ui.generateButton.text == "Generate report"
    panel.logic.folder = good
    panel.ui.generateButton.click()
    assert panel.logic.isRunning()
    panel.ui.generateButton.click()
    assert app.processUntil(lambda: not panel.logic.isRunning())


def test_a_scan_that_cannot_be_copied_is_told(panel, app):
    with small_files():
        panel.ui.generateButton.click()
        assert app.processUntil(lambda: not panel.logic.isRunning())
    assert "cannot be written or read: File too large" in panel.ui.statusLabel.text
    assert not [name for name in os.listdir(panel.logic.folder) if name.startswith("run-")]


def test_a_mask_that_cannot_be_written_for_measuring_is_told_and_measured_later(panel, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    with small_files():
        eraseHalf(panel.study.segmentationNode, "liver")
        assert app.processUntil(lambda: "large" in panel.ui.statusLabel.text)
        assert ["'Liver'" in text for text in panel.logic.unmeasured(panel.study)] == [True]
    eraseHalf(panel.study.segmentationNode, "spleen")
    assert app.processUntil(lambda: not panel.logic.unmeasured(panel.study)
                            and not panel.logic.masksPending(panel.study), 120)


def test_a_report_that_was_deleted_leaves_the_panel(panel, app):
    import slicer

    slicer.mrmlScene.RemoveNode(panel.study.reportNode)
    assert app.processUntil(lambda: panel.text == "")
    assert panel.panel.study is None and panel.panel.findings.visibleNames() == []
    assert not panel.ui.signButton.isVisibleTo(panel.ui.signButton.parentWidget())
    assert not panel.ui.exportTextButton.enabled


def test_the_masks_and_then_the_report_can_be_deleted(panel, app):
    import slicer

    slicer.mrmlScene.RemoveNode(panel.study.segmentationNode)
    app.processEvents(0.3)
    assert panel.text
    slicer.mrmlScene.RemoveNode(panel.study.reportNode)
    assert app.processUntil(lambda: panel.text == "")


def test_a_signed_report_that_was_changed_outside_is_refused_and_the_scan_can_be_read_again(panel, app):
    import qt
    import slicer
    from harness.dialogs import DIALOGS

    panel.editor.change(lambda report: report.sign("Dr. Grün"))
    node = panel.study.reportNode
    words = panel.report.sentences[0].text
    assert words in node.GetText()
    node.SetText(node.GetText().replace(words, "Quite another sentence."))
    slicer.util.selectModule("SegmentEditor")
    slicer.util.selectModule("UVLMReport")
    assert "changed outside" in panel.ui.statusLabel.text
    assert panel.text == "" and panel.panel.study is None
    DIALOGS.answer(qt.QMessageBox.Ok)  # a new report beside it
    panel.ui.generateButton.click()
    assert panel.logic.isRunning()
    DIALOGS.clear()
    panel.ui.generateButton.click()
    assert app.processUntil(lambda: not panel.logic.isRunning())
    assert node.GetScene() is not None


def test_closing_the_scene_while_a_case_is_kept_says_what_was_missing(panel, app, tmp_path):
    import slicer

    failures = []
    panel.logic.keepTrainingCase(panel.study, str(tmp_path / "kept"), failures.append, failures.append)
    slicer.mrmlScene.Clear(0)
    assert app.processUntil(lambda: failures)
    assert "were deleted" in str(failures[0])


def test_a_scene_whose_masks_are_missing_keeps_its_report(panel, app, tmp_path, nothingGoesWrongUnseen):
    """A scene folder that was moved without its masks: that is not the user removing all of them."""
    import zipfile

    import slicer

    panel.editor.change(lambda report: report.sign("Dr. Grün"))
    segments, measurements = panel.report.segments, panel.report.measurements
    assert slicer.util.saveScene(str(tmp_path / "s.mrb"))
    zipfile.ZipFile(tmp_path / "s.mrb").extractall(tmp_path)
    for path in tmp_path.rglob("*.seg.nrrd"):
        path.unlink()
    failures = []
    panel.logic.failed.connect(failures.append)
    with suppress(RuntimeError):  # Slicer says that a file is missing
        slicer.util.loadScene(str(tmp_path / "s" / "s.mrml"), {"clear": True})
    assert app.processUntil(lambda: failures)
    assert "not in the scene" in str(failures[0])
    (study,) = panel.logic.studies()
    assert study.report.segments == segments and study.report.measurements == measurements
    assert not study.masksEdited and study.report.state == "signed"
    nothingGoesWrongUnseen.texts.clear()


def test_what_measuring_had_to_say_goes_when_it_is_done(panel, app):
    from test_report_logic_edits import killed
    from UVLMReportLib.JourneyScene import eraseHalf

    killed(panel.logic.worker, 1)
    eraseHalf(panel.study.segmentationNode, "spleen")
    assert app.processUntil(lambda: "ended" in panel.ui.statusLabel.text, 120)
    assert app.processUntil(lambda: not panel.logic.unmeasured(panel.study), 120)
    assert app.processUntil(lambda: "ended" not in panel.ui.statusLabel.text)  # once the next one has said hello


def test_a_damaged_report_is_not_measured(panel, app, nothingGoesWrongUnseen):
    panel.editor.change(lambda report: report.sign("Dr. Grün"))
    node = panel.study.reportNode
    node.SetText(node.GetText().replace(panel.report.sentences[0].text, "Quite another sentence."))
    panel.study.segmentationNode.GetSegmentation().RemoveSegment("spleen")
    app.processEvents(1.0)
    assert nothingGoesWrongUnseen.texts == []
