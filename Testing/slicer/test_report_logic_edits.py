"""Edits of masks with the real worker: what is measured, what is not, and nothing is lost when the worker dies."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from panel_study import make_case, write_study_folder

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))


@pytest.fixture()
def edited(scene, app, tmp_path):
    """(logic, study) of the phantom; the logic watches its masks."""
    import slicer
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.ReportLogic import ReportLogic
    from UVLMReportLib.SegmentationNodes import vtkMatrix
    from UVLMReportLib.StudyScene import StudyScene

    case = make_case()
    write_study_folder(tmp_path / "study", case)
    volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array), vtkMatrix(case.volume.ijk_to_ras))
    study = drained(StudyScene.creating(volume, str(tmp_path / "study"), str(tmp_path / "study" / "segments.npy")))
    logic = ReportLogic()
    yield logic, study
    logic.shutdown()


def volumes(study) -> dict[str, float]:
    return {row["segment"]: row["value"] for row in study.report.measurements if row["name"] == "volume"}


def test_first_look_finds_what_was_edited_before_it(edited, app):
    """An edit between loading a scene and the first look, or just before saving, is measured like any other."""
    from UVLMReportLib.JourneyScene import eraseHalf

    logic, study = edited
    before = volumes(study)
    eraseHalf(study.segmentationNode, "liver")  # nothing has been looked at yet
    assert logic.masksPending(study)
    assert app.processUntil(lambda: not logic.masksPending(study), 120)
    changed = {name for name, value in volumes(study).items() if value != before[name]}
    assert changed == {"liver"} and volumes(study)["liver"] == pytest.approx(before["liver"] / 2, rel=0.01)


def test_the_end_of_the_first_look_is_told(edited, app):
    """A dialog that was opened before lists what is not measured yet, and is to list it no longer then."""
    logic, study = edited
    assert len(logic.unmeasured(study)) == 1
    left = []
    logic.measuring.connect(lambda study: left.append(logic.unmeasured(study)))
    assert app.processUntil(lambda: not logic.masksPending(study))
    assert left and left[-1] == []


def killed(worker, times: int):
    """Kills the worker so many times, each time when it has got work."""
    left = [times]

    def kill(state):
        if state == "busy" and left[0]:
            left[0] -= 1
            worker._process.kill()

    worker.stateChanged.connect(kill)


def test_edit_outlives_a_crash_of_the_worker(edited, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    before, failures = volumes(study), []
    logic.failed.connect(failures.append)
    killed(logic.worker, 1)
    eraseHalf(study.segmentationNode, "spleen")
    assert app.processUntil(lambda: failures, 120)
    assert failures[0].kind == "crashed" and volumes(study) == before
    assert ["'Spleen'" in text for text in logic.unmeasured(study)] == [True]
    assert app.processUntil(lambda: not logic.masksPending(study), 120)  # the next worker measures it
    assert volumes(study)["spleen"] == pytest.approx(before["spleen"] / 2, rel=0.01)
    assert logic.unmeasured(study) == [] and len(failures) == 1


def test_edit_that_kills_every_worker_waits_for_the_next_one(edited, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    before, failures = volumes(study), []
    logic.failed.connect(failures.append)
    killed(logic.worker, 2)
    eraseHalf(study.segmentationNode, "spleen")
    assert app.processUntil(lambda: len(failures) == 2, 120)
    assert not logic.masksPending(study) and volumes(study) == before
    assert ["'Spleen'" in text for text in logic.unmeasured(study)] == [True]
    eraseHalf(study.segmentationNode, "liver")
    assert app.processUntil(lambda: volumes(study)["liver"] != before["liver"], 120)
    assert volumes(study)["spleen"] == pytest.approx(before["spleen"] / 2, rel=0.01)  # with the next edit
    assert logic.unmeasured(study) == []


def test_a_mask_that_is_removed_while_it_is_measured_stays_removed(edited, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    removed = []
    logic._edits[study.reportNodeId].removed.connect(lambda study, name: removed.append(name))
    eraseHalf(study.segmentationNode, "liver_lesion_1")
    assert app.processUntil(lambda: logic.worker.state != "stopped")  # it is asked; the answer takes seconds
    study.segmentationNode.GetSegmentation().RemoveSegment("liver_lesion_1")
    assert app.processUntil(lambda: removed and not logic.masksPending(study), 120)
    assert "liver_lesion_1" not in {row["id"] for row in study.report.segments}
    kinds = [flag.kind for sentence in study.report.sentences for flag in sentence.flags]
    assert "mask_removed" in kinds


def test_what_was_done_to_the_masks_while_the_module_was_closed(edited, app):
    """Slicer's own modules remove and draw segments; the report hears of it when it is opened."""
    from UVLMReportLib.JourneyScene import drawBall
    from UVLMReportLib.ReportLogic import ReportLogic

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    logic.shutdown()
    study.segmentationNode.GetSegmentation().RemoveSegment("liver_lesion_1")
    drawn = drawBall(study.segmentationNode, study.volumeNode, "mine", (40, 30, 30), 4)
    again, asked = ReportLogic(), []
    again.segmentAdded.connect(lambda study, name: asked.append(name))
    try:
        assert app.processUntil(lambda: not again.masksPending(study))
        assert asked == [drawn]
        assert "liver_lesion_1" not in {row["id"] for row in study.report.segments}
        assert "mask_removed" in [flag.kind for sentence in study.report.sentences for flag in sentence.flags]
        assert study.masksEdited
    finally:
        again.shutdown()


def test_emptied_and_restored_mask(edited, app):
    """A mask that is painted away is as good as deleted; undo brings it back to its sentences."""
    from UVLMReportLib.SegmentationNodes import LABELMAP, imageArray

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    before = volumes(study)
    segment = study.segmentationNode.GetSegmentation().GetSegment("spleen")
    image = segment.GetRepresentation(LABELMAP)
    array = imageArray(image)
    kept = array.copy()
    array[array == segment.GetLabelValue()] = 0
    image.Modified()
    assert app.processUntil(lambda: "spleen" not in {row["id"] for row in study.report.segments})
    array[...] = kept
    image.Modified()
    assert app.processUntil(lambda: "spleen" in volumes(study), 120)
    assert volumes(study) == before


def test_heart_and_lungs_move_the_cardiothoracic_ratio(edited, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    logic, study = edited
    assert app.processUntil(lambda: not logic.masksPending(study))
    before = study.report.measurement("heart", "cardiothoracic_ratio")["value"]
    eraseHalf(study.segmentationNode, "heart")
    assert app.processUntil(
        lambda: study.report.measurement("heart", "cardiothoracic_ratio")["value"] < before, 120)
