"""The module on a real scan: loaded as Slicer loads it, read by the demo model in the real worker, twice."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))

DATA = os.environ.get("UVLM_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="UVLM_DATA is not set: no real scans")
RUN_SECONDS = 600  # on a slow and busy machine


@pytest.fixture()
def logic(scene):
    from UVLMReportLib.ReportLogic import ReportLogic

    made = ReportLogic()
    yield made
    made.shutdown()


def test_abdomen(logic, app):
    import slicer
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.LabelMaps import makingLabelMap

    from uvlm_core.labels import label_named

    volume = slicer.util.loadVolume(str(Path(DATA) / "labelled" / "ts_abdomenpelvis_3mm_ct.nii.gz"))
    truth = slicer.util.arrayFromVolume(
        slicer.util.loadLabelVolume(str(Path(DATA) / "labelled" / "ts_abdomenpelvis_3mm_seg117.nii.gz")))
    assert logic.refusalOf(volume) == ""
    made, failed = [], []
    logic.studyMade.connect(made.append)
    logic.runFailed.connect(failed.append)
    for number in (1, 2):
        logic.generate(volume)
        assert app.processUntil(lambda wanted=number: len(made) == wanted or failed, RUN_SECONDS)
        assert [str(failure) for failure in failed] == []
        assert logic.lastRun["reloaded"] is (number == 1)  # the model stays warm
    first, second = made
    assert not first.exists and second.exists  # nobody had worked on the first
    assert second.report.sentences
    labels = drained(makingLabelMap(second))
    liver, found = truth == 5, labels == label_named("liver").id  # 5: liver of TotalSegmentator v2
    dice = 2 * np.count_nonzero(liver & found) / (np.count_nonzero(liver) + np.count_nonzero(found))
    assert dice > 0.7, dice
    centre = logic.centreRas(second, "liver")
    i, j, k = volume_index(volume, centre)
    assert truth[k, j, i] == 5


def volume_index(volume, ras) -> tuple[int, int, int]:
    """(i, j, k) of a world point in a volume without a transform."""
    from UVLMReportLib.VolumeInput import ijkToRas

    return tuple(np.rint(np.linalg.inv(ijkToRas(volume)) @ [*ras, 1])[:3].astype(int))
