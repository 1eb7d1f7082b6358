"""Reloading and leaving the module, also in the middle of a run: no process, no observer and no edit is lost."""

from __future__ import annotations

import gc
import os
import weakref

import pytest
from panel_study import make_case, write_study_folder


@pytest.fixture()
def study(openModule, tmp_path):
    """(the module's widget, a study of the phantom in the scene)"""
    import numpy as np
    import slicer

    case = make_case()
    write_study_folder(tmp_path / "study", case)
    widget = openModule("UVLMReport")
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.SegmentationNodes import vtkMatrix
    from UVLMReportLib.StudyScene import StudyScene

    volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array), vtkMatrix(case.volume.ijk_to_ras))
    made = drained(StudyScene.creating(volume, str(tmp_path / "study"), str(tmp_path / "study" / "segments.npy")))
    return widget, made


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_reload_in_the_middle_of_a_run(study, app):
    import slicer

    widget, made = study
    made.report.edit_sentence(made.report.sentences[0].id, "Kept over a reload.")
    made.saveReport()
    old = widget.logic
    old.generate(made.volumeNode)
    assert app.processUntil(lambda: old.worker.processId)
    pid, folder = old.worker.processId, old.folder
    slicer.util.reloadScriptedModule("UVLMReport")
    assert app.processUntil(lambda: not alive(pid)) and not os.path.exists(folder)
    new = slicer.modules.UVLMReportWidget
    assert new is not widget and new.logic is not old
    assert new.panel.askTimer.active  # the new panel is entered too: it asks a new worker
    new.panel.askTimer.stop()
    again = new.logic.studies()
    assert len(again) == 1 and "Kept over a reload." in again[0].report.to_text()
    app.processEvents(0.5)  # late callbacks of the old parts would fail here
    assert app.processUntil(lambda: not new.logic.masksPending(again[0]))


def test_nothing_holds_the_logic_after_its_end(study, app):
    """No observer of the scene, no signal of the application and no timer keeps it."""
    held = used_and_ended(study[1], app)
    app.processEvents(0.2)
    gc.collect()
    assert held() is None


def used_and_ended(made, app) -> weakref.ref:
    """A logic that watched a study and had a worker."""
    from UVLMReportLib.ReportLogic import ReportLogic

    logic, answers = ReportLogic(), []
    app.processUntil(lambda: not logic.masksPending(made))
    logic.hello(answers.append)
    assert app.processUntil(lambda: answers, 120)
    logic.shutdown()
    return weakref.ref(logic)
