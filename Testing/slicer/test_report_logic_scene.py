"""Studies in the scene: geometry, replacing, stopping, deleting, memory, and how long the window stands still."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from panel_study import make_case, write_study_folder

from uvlm_core.volumes.volume import Volume

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "UVLMReport"))

LONGEST_SECONDS = 0.1  # of work of ours between two turns of the event loop
GRIDS = {  # columns: steps in mm along i, j, k
    "oblique": [[-3.9, 0.9, 0.3], [-0.8, -3.9, 0.7], [-0.4, 0.6, 5.4]],
    "left-handed": [[4.1, 0, 0], [0, -4.1, 0], [0, 0, 5.5]],
    "sheared": [[-4.1, 0, 0.8], [0, -4.1, 1.1], [0, 0, 5.5]],
    "anisotropic, feet first": [[-1.5, 0, 0], [0, 3.2, 0], [0, 0, -7.0]],
    "k to the left": [[0, 0, -5.5], [-4.1, 0, 0], [0, 4.1, 0]],
}


@pytest.fixture(scope="module")
def case():
    return make_case()


@pytest.fixture()
def put(scene, tmp_path):
    """Puts a case as a volume and its study into the scene; gives the StudyScene."""
    import slicer
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.SegmentationNodes import vtkMatrix
    from UVLMReportLib.StudyScene import StudyScene

    def make(case, volumeNode=None):
        if volumeNode is None:
            array = np.ascontiguousarray(case.volume.array)
            volumeNode = slicer.util.addVolumeFromArray(array, vtkMatrix(case.volume.ijk_to_ras), "CT")
        folder = tmp_path / "study ü"
        if not folder.exists():
            write_study_folder(folder, case)
        return drained(StudyScene.creating(volumeNode, str(folder), str(folder / "segments.npy")))

    yield make
    StudyScene.forgetAll()


@pytest.mark.parametrize("grid", GRIDS)
def test_masks_lie_where_the_scan_is(put, case, grid):
    """Every grid: masks on the voxels of the scan, points inside the masks, cut-outs of the right values."""
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.LabelMaps import makingLabelMap
    from UVLMReportLib.SegmentationNodes import centreRas, cutOut, segmentsAt
    from UVLMReportLib.VolumeInput import Voxels, readingValues

    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = GRIDS[grid], [40, -250, 31.5]
    turned = dataclasses.replace(case, volume=Volume(case.volume.array, matrix, "CT", {"modality": "CT"}))
    study = put(turned)
    rows = study.content["segments"]
    labels = drained(makingLabelMap(study))
    assert (labels[labels > 0] == case.labels[labels > 0]).all() and (labels > 0).sum() > 0.99 * (case.labels > 0).sum()
    for row in rows[:3] + rows[-3:]:
        centre = centreRas(study.segmentationNode, row["id"])
        i, j, k = np.rint(np.linalg.inv(matrix) @ [*centre, 1])[:3].astype(int)
        assert case.labels[k, j, i] == row["label"]
        assert segmentsAt(study.segmentationNode, centre) == [row["id"]]
        mask, toRas = cutOut(study.segmentationNode.GetSegmentation(), row["id"], None)
        values = drained(readingValues(Voxels(study.volumeNode), toRas, mask.shape))
        mean = next(m["value"] for m in study.content["measurements"] if m["id"] == f"{row['id']}.mean_hu")
        assert values[mask].mean() == pytest.approx(mean, abs=0.06)


def test_values_on_another_grid_are_the_nearest(put, case):
    """A segmentation whose geometry the user changed (finer, shifted) still measures the scan's values."""
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.VolumeInput import Voxels, readingValues

    study = put(case)
    finer = case.volume.ijk_to_ras @ np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] = (case.volume.ijk_to_ras @ [30, 40, 20, 1])[:3]
    values = drained(readingValues(Voxels(study.volumeNode), finer, (8, 10, 12)))
    assert (values[::2, ::2, ::2] == case.volume.array[20:24, 40:45, 30:36]).all()
    outside = case.volume.ijk_to_ras.copy()
    outside[:3, 3] = (case.volume.ijk_to_ras @ [-3, 0, 0, 1])[:3]
    values = drained(readingValues(Voxels(study.volumeNode), outside, (4, 5, 6)))
    assert (values[:, :, :3] == -1024).all() and (values[:, :, 3:] == case.volume.array[:4, :5, :3]).all()


def test_label_maps_that_slicer_cuts_or_moves_are_no_edits(put, case):
    """A stroke in the Segment Editor shrinks the label map to what is in it, or gives a segment a map of its own."""
    import slicer
    from UVLMReportLib.JourneyScene import drained
    from UVLMReportLib.LabelMaps import makingLabelMap
    from UVLMReportLib.MaskShapes import MaskShapes
    from UVLMReportLib.SegmentationNodes import LABELMAP, imageArray, segmentIds

    study, shapes = put(case), MaskShapes()
    segmentation = study.segmentationNode.GetSegmentation()
    image = segmentation.GetSegment("spleen").GetRepresentation(LABELMAP)
    imageArray(image)[:6] = 0  # room to shrink
    drained(shapes.updating(segmentation))
    gone = imageArray(image) == segmentation.GetSegment("spleen").GetLabelValue()
    expected = drained(makingLabelMap(study))
    expected[gone] = 0

    stroke, logic = slicer.vtkOrientedImageData(), slicer.vtkSlicerSegmentationsModuleLogic
    stroke.DeepCopy(image)
    imageArray(stroke)[:] = ~gone
    logic.SetBinaryLabelmapToSegment(stroke, study.segmentationNode, "spleen", logic.MODE_MERGE_MIN,
                                     stroke.GetExtent(), False, segmentIds(segmentation))
    assert image.GetExtent()[4] == 6
    assert drained(shapes.updating(segmentation)) == {"spleen"}
    segmentation.SeparateSegmentLabelmap("liver")
    assert segmentation.GetSegment("liver").GetRepresentation(LABELMAP) is not image
    assert drained(shapes.updating(segmentation)) == set()
    assert (drained(makingLabelMap(study)) == expected).all()
    assert (drained(makingLabelMap(study, 2)) == expected[::2, ::2, ::2]).all()  # what tells sides and places


def test_stopped_creation_leaves_the_scene_as_it_was(put, case, tmp_path, app):
    import slicer
    from UVLMReportLib.StudyScene import StudyScene

    from UVLMShared.InSteps import InSteps

    study = put(case)
    volume = study.volumeNode
    before = slicer.mrmlScene.GetNumberOfNodes()
    folder = tmp_path / "study ü"
    steps = StudyScene.creating(volume, str(folder), str(folder / "segments.npy"))
    ended = []
    work = InSteps(steps, ended.append, ended.append)
    next(steps)
    work.stop()
    app.processEvents(0.2)
    assert (slicer.mrmlScene.GetNumberOfNodes(), ended, work.running) == (before, [], False)


def test_untouched_study_is_replaced_and_a_touched_one_stays(put, case):
    import slicer
    from UVLMReportLib.StudyScene import StudyScene

    first = put(case)
    volume, count = first.volumeNode, slicer.mrmlScene.GetNumberOfNodes()
    second = put(case, volume)
    assert not first.exists and slicer.mrmlScene.GetNumberOfNodes() == count
    second.report.edit_sentence(second.report.sentences[0].id, "Mine.")
    second.saveReport()
    third = put(case, volume)
    assert second.exists and StudyScene.find(volume) is third
    assert "Mine." in second.report.to_text() and "Mine." not in third.report.to_text()


def test_twenty_studies_take_the_memory_of_one(put, case):
    """The scene and our own lists do not grow when a study is made again and again."""
    import slicer
    from UVLMReportLib import StudyScene as module

    volume = put(case).volumeNode
    for _warm_up in range(3):
        put(case, volume)
    nodes, memory = slicer.mrmlScene.GetNumberOfNodes(), _resident()
    for _again in range(20):
        put(case, volume)
    assert slicer.mrmlScene.GetNumberOfNodes() == nodes
    assert len(module._open) <= 2
    assert _resident() - memory < 12 << 20  # one study's masks alone have 0.7 MB here


def test_a_removed_study_is_let_go(put, case, app):
    """Nothing that Qt holds, such as a timer's connection, keeps what watched its masks, and with it the report."""
    import gc
    import weakref

    from UVLMReportLib.ReportLogic import ReportLogic

    study, logic = put(case), ReportLogic()
    try:
        assert app.processUntil(lambda: not logic.masksPending(study))
        watching = weakref.ref(logic._edits[study.reportNodeId])
        study.remove()
        app.processEvents(0.1)
        gc.collect()
        assert watching() is None
    finally:
        logic.shutdown()


def test_deleted_nodes_hurt_nobody(put, case, app):
    import slicer
    from UVLMReportLib.ReportLogic import ReportLogic

    study = put(case)
    logic = ReportLogic()
    try:
        app.processUntil(lambda: not logic.masksPending(study))
        segment = study.content["segments"][0]["id"]
        slicer.mrmlScene.RemoveNode(study.segmentationNode)
        assert study.segmentationNode is None and logic.centreRas(study, segment) is None
        slicer.mrmlScene.RemoveNode(study.tableNode)
        study.report.edit_sentence(study.report.sentences[0].id, "Still here.")
        study.saveReport()
        failures = []
        logic.keepTrainingCase(study, "/nowhere", failures.append, failures.append)
        assert failures[0].kind == "deleted"
        slicer.mrmlScene.RemoveNode(study.reportNode)
        assert not study.exists and logic.studies() == []
        study.saveReport()  # late, and without effect
    finally:
        logic.shutdown()


def test_window_lives_while_a_big_scan_is_handled(scene, case, tmp_path, app, short_collections):
    """512 x 512 x 300: copying the scan, its study, the first look at the masks; in CPU time of the main thread."""
    import slicer
    from UVLMReportLib import SegmentationNodes, StudyScene, VolumeInput
    from UVLMReportLib.JourneyScene import eraseHalf
    from UVLMReportLib.LabelMaps import makingLabelMap
    from UVLMReportLib.MaskShapes import MaskShapes

    folder = tmp_path / "study"
    write_study_folder(folder, case)
    segments, array = np.load(folder / "segments.npy"), case.volume.array
    where = [np.arange(size) * old // size for size, old in zip((300, 512, 512), array.shape, strict=True)]
    np.save(folder / "segments.npy", segments[np.ix_(*where)])
    matrix = case.volume.ijk_to_ras @ np.diag([96 / 512, 96 / 512, 72 / 300, 1])
    volume = slicer.util.addVolumeFromArray(array[np.ix_(*where)], SegmentationNodes.vtkMatrix(matrix), "big")
    longest = {}

    def watched(name, steps):
        while True:
            begin = time.thread_time()
            try:
                next(steps)
            except StopIteration as finished:
                return finished.value
            finally:
                longest[name] = max(longest.get(name, 0), time.thread_time() - begin)

    begin = time.thread_time()
    assert VolumeInput.refusalOf(volume) == ""
    longest["check"] = time.thread_time() - begin
    watched("write", VolumeInput.writing(VolumeInput.Voxels(volume), str(folder / "volume.npy")))
    assert np.load(folder / "volume.npy", mmap_mode="r").shape == (300, 512, 512)
    study = watched("create", StudyScene.StudyScene.creating(volume, str(folder), str(folder / "segments.npy")))
    segmentation, shapes = study.segmentationNode.GetSegmentation(), MaskShapes()
    watched("first look", shapes.updating(segmentation))
    eraseHalf(study.segmentationNode, "liver")
    assert watched("look", shapes.updating(segmentation)) == {"liver"}
    watched("label map", makingLabelMap(study))
    begin = time.thread_time()
    SegmentationNodes.cutOut(segmentation, "liver", shapes.slicesOf("liver"))
    longest["cut out"] = time.thread_time() - begin
    begin = time.thread_time()
    study.saveReport()
    longest["save"] = time.thread_time() - begin
    print({name: f"{seconds * 1000:.0f} ms" for name, seconds in longest.items()})
    assert max(longest.values()) < LONGEST_SECONDS, longest


def _resident() -> int:
    """Bytes of memory that this process holds now."""
    import gc

    gc.collect()
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096
