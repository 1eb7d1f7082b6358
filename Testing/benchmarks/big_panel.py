"""The real module on the test harness with a scan of 512 x 512 x 300 voxels: the ground of the panel's benchmarks."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SHAPE, SPACING, SEED = (300, 512, 512), (1.25, 0.75, 0.75), 920000
sys.path[:0] = [str(ROOT / "Testing"), str(ROOT / "UVLMReport"), str(ROOT)]

import harness  # noqa: E402

slicer = harness.start()

import qt  # noqa: E402
import vtk  # noqa: E402


class BigPanel:
    """The module's panel in a window of its own (the views are not drawn: that is Slicer's work), and the real worker.

    Args:
        folder: where the phantom is kept for the next time. shape: voxels (Z, Y, X) of the phantom.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int] = SHAPE) -> None:
        harness.load_module(ROOT / "UVLMReport" / "UVLMReport.py")
        slicer.app.startupCompleted.emit()
        slicer.util.selectModule("UVLMReport")
        self.module = slicer.modules.UVLMReportWidget
        self.ui, self.panel, self.logic = self.module.ui, self.module.panel, self.module.logic
        self.window = slicer.util.mainWindow()._panel
        self.window.setParent(None)
        self.window.resize(480, 1600)
        self.window.show()
        self.failures: list = []
        self.logic.runFailed.connect(self.failures.append)
        self.logic.failed.connect(self.failures.append)
        array, matrix = phantom(folder, shape)
        self.volume = slicer.util.addVolumeFromArray(array, matrix, "Phantom")

    @property
    def study(self):
        """The StudyScene of the volume, or None."""
        return self.logic.studyOf(self.volume)

    def until(self, condition: Callable[[], object], seconds: float = 900) -> None:
        """Runs the event loop until `condition()` is true, which is looked at every 10 ms.

        Raises:
            RuntimeError: it does not come, or a run or a measurement failed.
        """
        loop, timer, end = qt.QEventLoop(), qt.QTimer(), time.monotonic() + seconds
        timer.connect("timeout()", lambda: loop.quit() if condition() or self.failures or time.monotonic() > end
                      else None)
        timer.start(10)
        if not condition():
            loop.exec_()
        timer.stop()
        if self.failures:
            raise RuntimeError(f"{self.failures[0]}\n{self.failures[0].details}")
        if not condition():
            raise RuntimeError("it did not come in time")

    def live(self, seconds: float) -> None:
        """Runs the event loop for a time."""
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def generate(self) -> None:
        """Presses Generate report and waits until the study is there and its masks have been looked at."""
        made: list = []
        self.logic.studyMade.connect(made.append)
        self.ui.generateButton.click()
        self.until(lambda: made)
        self.logic.studyMade.disconnect(made.append)
        self.until(lambda: not self.logic.masksPending(self.study))

    def worker_seconds(self) -> float:
        """Processor time of the worker so far, all threads. Linux only."""
        fields = Path(f"/proc/{self.logic.worker.hello['pid']}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def worker_mib(self) -> float:
        """Resident memory of the worker. Linux only."""
        return resident_mib(self.logic.worker.hello["pid"])

    def close(self) -> None:
        """Takes the module out again, and its worker with it."""
        slicer.mrmlScene.Clear(0)
        harness.unload_module("UVLMReport")


def resident_mib(process: int | str = "self") -> float:
    """Resident memory of a process in MiB. Linux only."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def phantom(folder: Path, shape: tuple[int, int, int]):
    """(array (Z, Y, X), 4x4 as vtkMatrix4x4) of a chest and abdomen; made once, which takes a minute at full size."""
    from uvlm_core.phantom.generator import make_phantom

    name = "x".join(map(str, shape))
    paths = [folder / f"phantom-{name}.npy", folder / f"phantom-{name}-matrix.npy"]
    if not all(path.exists() for path in paths):
        folder.mkdir(parents=True, exist_ok=True)
        spacing = tuple(full * size / own for full, size, own in zip(SPACING, SHAPE, shape, strict=True))
        volume = make_phantom(SEED, shape, spacing, region="both").volume
        for path, array in zip(paths, (volume.array, volume.ijk_to_ras), strict=True):
            np.save(path, array)
    array, matrix = (np.load(path) for path in paths)
    return array, slicer.util.vtkMatrixFromArray(matrix)


def erase_as_segment_editor(node, segment_id: str) -> int:
    """Erases half of a mask by the call with which Slicer's Segment Editor writes a stroke of its eraser, which also
    shrinks the label map to what is in it. Returns the number of voxels taken."""
    from UVLMReportLib.SegmentationNodes import LABELMAP, imageArray, segmentIds
    from vtk.util import numpy_support

    segment = node.GetSegmentation().GetSegment(segment_id)
    image = segment.GetRepresentation(LABELMAP)
    places = np.argwhere(imageArray(image) == segment.GetLabelValue())
    gone = places[np.argsort(places[:, 2], kind="stable")][len(places) // 2:]
    low, high = gone.min(0), gone.max(0)
    kept = np.ones(high - low + 1, np.uint8)
    kept[tuple((gone - low).T)] = 0
    stroke, extent, matrix = slicer.vtkOrientedImageData(), image.GetExtent(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    stroke.SetImageToWorldMatrix(matrix)
    box = [extent[2 * axis] + int(edge[2 - axis]) for axis in range(3) for edge in (low, high)]
    stroke.SetExtent(*box)
    stroke.GetPointData().SetScalars(numpy_support.numpy_to_vtk(kept.ravel(), deep=True))
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(stroke, node, segment_id, logic.MODE_MERGE_MIN, box, False,
                                     segmentIds(node.GetSegmentation()))
    return len(gone)
