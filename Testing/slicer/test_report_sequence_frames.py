"""The report is of one frame of a sequence: another one is not measured, kept or exported under its masks."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from panel_study import make_case, write_study_folder


@pytest.fixture()
def shown(openModule, app, tmp_path):
    """(widget, study of frame 1, the phantom, a function that shows a frame, counted from 1)."""
    import slicer

    widget = openModule("UVLMReport")  # its parts can be imported from now on
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.SegmentationNodes import vtkMatrix
    from UVLMReportLib.StudyScene import StudyScene
    from UVLMReportLib.VolumeInput import frameOf

    widget.panel.askTimer.stop()
    case = make_case()
    write_study_folder(tmp_path / "study", case)
    sequence = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceNode", "4-D CT")
    for number in range(3):
        array = np.ascontiguousarray(case.volume.array + 100 * number)
        frame = slicer.util.addVolumeFromArray(array, vtkMatrix(case.volume.ijk_to_ras), f"frame {number}")
        sequence.SetDataNodeAtValue(frame, str(number))
        slicer.mrmlScene.RemoveNode(frame)
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode")
    browser.AddSynchronizedSequenceNode(sequence)
    proxy = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array), vtkMatrix(case.volume.ijk_to_ras))
    browser.AddProxyNode(proxy, sequence, False)

    def show(number: int) -> None:
        browser.SetSelectedItemNumber(number - 1)
        logic = slicer.vtkSlicerSequencesLogic()
        logic.SetMRMLScene(slicer.mrmlScene)
        logic.UpdateProxyNodesFromSequences(browser)

    show(1)
    widget.ui.volumeSelector.setCurrentNode(proxy)
    study = drained(StudyScene.creating(proxy, str(tmp_path / "study"), str(tmp_path / "study" / "segments.npy"),
                                        frameOf(proxy)))
    widget.logic.watchStudies()
    widget.logic.studyMade(study)
    assert app.processUntil(lambda: not widget.logic.masksPending(study))
    return widget, study, case, show


def test_the_panel_says_which_frame_is_shown(shown, app):
    widget, _study, _case, show = shown
    assert "Frame 1 of 3" in widget.ui.volumeRemark.text
    show(3)
    assert app.processUntil(lambda: "Frame 3 of 3" in widget.ui.volumeRemark.text)
    assert "The report is of frame 1" in widget.ui.volumeRemark.text
    show(1)
    assert app.processUntil(lambda: "The report is of" not in widget.ui.volumeRemark.text)


def test_an_edit_on_another_frame_is_measured_when_its_own_is_shown(shown, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    widget, study, _case, show = shown
    before = study.report.measurement("liver_lesion_1", "mean_hu")["value"]
    failures = []
    widget.logic.failed.connect(failures.append)
    show(3)
    eraseHalf(study.segmentationNode, "liver_lesion_1")
    assert app.processUntil(lambda: failures)
    assert failures[0].kind == "frame" and "frame 1" in str(failures[0])
    assert len(widget.logic.unmeasured(study)) == 1
    assert study.report.measurement("liver_lesion_1", "mean_hu")["value"] == before
    show(1)
    assert app.processUntil(lambda: not widget.logic.unmeasured(study), 120)
    after = study.report.measurement("liver_lesion_1", "mean_hu")["value"]
    assert after != before and abs(after - before) < 30  # frames 2 and 3 are 100 and 200 HU brighter


def test_only_the_frame_of_the_report_is_kept(shown, app, tmp_path):
    widget, study, case, show = shown
    kept, failures = [], []
    show(2)
    widget.logic.keepTrainingCase(study, str(tmp_path / "kept"), kept.append, failures.append)
    assert app.processUntil(lambda: kept or failures)
    assert not kept and failures[0].kind == "frame" and not (tmp_path / "kept").exists()
    show(1)
    widget.logic.keepTrainingCase(study, str(tmp_path / "kept"), kept.append, failures.append)
    assert app.processUntil(lambda: kept or len(failures) > 1, 120)
    image = np.asarray(nibabel.load(Path(kept[0]) / "image.nii.gz").dataobj).transpose()
    np.testing.assert_array_equal(image, case.volume.array)


def test_what_is_measured_and_kept_is_the_frame_of_the_click(shown, app, tmp_path):
    """Another frame is shown right afterwards, while the voxels are written step by step."""
    widget, study, case, show = shown
    before = study.report.measurement("liver_lesion_1", "mean_hu")["value"]
    widget.logic.measureSegment(study, "liver_lesion_1")
    kept, failures = [], []
    widget.logic.keepTrainingCase(study, str(tmp_path / "kept"), kept.append, failures.append)
    show(3)
    assert app.processUntil(lambda: kept or failures, 120)
    assert app.processUntil(lambda: not widget.logic.masksPending(study), 120)
    assert study.report.measurement("liver_lesion_1", "mean_hu")["value"] == pytest.approx(before, abs=0.1)
    image = np.asarray(nibabel.load(Path(kept[0]) / "image.nii.gz").dataobj).transpose()
    np.testing.assert_array_equal(image, case.volume.array)


def test_a_run_is_of_the_frame_that_was_shown_when_it_began(shown, app):
    widget, study, case, show = shown
    made, failed, sent = [], [], []
    widget.logic.studyMade.connect(made.append)
    widget.logic.runFailed.connect(failed.append)
    volume = study.volumeNode
    widget.logic.generate(volume)
    assert app.processUntil(lambda: widget.logic.worker.state == "busy", 120)
    sent.append(np.load(next(Path(widget.logic.folder).glob("run-*/volume.npy"))))
    show(3)
    assert app.processUntil(lambda: made or failed, 300)
    assert not failed and made[0].frame == 0 and "frame 1" in made[0].otherFrame
    np.testing.assert_array_equal(sent[0], case.volume.array)


def test_without_its_sequence_nobody_knows_which_frame_is_shown(shown, app):
    import slicer

    _widget, study, _case, show = shown
    show(3)
    slicer.mrmlScene.RemoveNode(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSequenceBrowserNode"))
    assert "nothing tells which frame" in study.otherFrame


def test_nothing_watches_the_volume_after_the_masks_are_gone(shown, app):
    import slicer

    widget, study, _case, _show = shown
    volume, event = study.volumeNode, slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent
    edits = widget.logic._edits[study.reportNodeId]
    slicer.mrmlScene.RemoveNode(study.segmentationNode)
    slicer.mrmlScene.RemoveNode(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode"))
    assert edits._volume is None
    edits.followVolume()
    assert edits._volume is None
    volume.InvokeEvent(event)
