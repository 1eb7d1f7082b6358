"""Makes the README's pictures of the module anew: python Testing/slicer/make_pictures.py [SCAN] [--to FOLDER]

The real module on the harness reads a scan (the tutorial's phantom, or a file) with the demo model, and is photographed
at the steps of the tutorial. Look at the pictures before committing them.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WIDTH, HEIGHT, PANEL = 1500, 950, 480  # pixels
sys.path.insert(0, str(ROOT / "Testing"))

import harness  # noqa: E402

slicer = harness.start()

import qt  # noqa: E402
from PySide6 import QtCore, QtWidgets  # noqa: E402


class Studio:
    """The window of Slicer's size with the panel in a scroll area, as Slicer has it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        harness.load_module(ROOT / "UVLMReport" / "UVLMReport.py")
        slicer.app.startupCompleted.emit()
        self.window = slicer.util.mainWindow()
        panel = self.window._panel
        dock = panel.parent()
        self.scroll = QtWidgets.QScrollArea()
        self.scroll.setWidgetResizable(True)
        self.scroll.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarAlwaysOff)
        self.scroll.setMinimumWidth(PANEL)
        dock.setWidget(self.scroll)
        self.scroll.setWidget(panel)
        dock.setTitleBarWidget(QtWidgets.QWidget())
        for bar in (*self.window.findChildren(QtWidgets.QToolBar), self.window.statusBar()):
            bar.hide()
        self.window.setFixedSize(WIDTH, HEIGHT)
        self.window.show()
        slicer.util.selectModule("UVLMReport")
        self.module = slicer.modules.UVLMReportWidget
        self.ui, self.panel, self.logic = self.module.ui, self.module.panel, self.module.logic
        for view in slicer.util.getNodesByClass("vtkMRMLViewNode"):
            view.SetBoxVisible(False)
            view.SetAxisLabelsVisible(False)

    def live(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            slicer.app.processEvents(qt.QEventLoop.AllEvents, 20)
            time.sleep(0.01)

    def until(self, condition: Callable[[], object], seconds: float = 900) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError("it did not come")
            self.live(0.05)

    def take(self, name: str, top: QtWidgets.QWidget | None = None) -> None:
        """A picture, with the panel scrolled so that `top` is its first widget; 256 colours keep the file small."""
        if top is not None:
            y = top.mapTo(self.scroll.widget(), QtCore.QPoint(0, 0)).y()
            self.scroll.verticalScrollBar().setValue(max(0, y - 44))
        self.live(1.5)
        path = self.folder / f"{name}.png"
        self.window.grab().save(str(path))
        from PIL import Image

        picture = Image.open(path).convert("RGB")
        picture.quantize(256, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, path.stat().st_size // 1024, "KiB", flush=True)

    def load(self, scan: str | None):
        """The scan as a volume in a soft tissue window."""
        from UVLMReportLib import SampleScans

        if scan is None:
            node = SampleScans.makePhantom()
        else:
            node = slicer.util.loadVolume(scan)
            node.GetDisplayNode().AutoWindowLevelOff()
            node.GetDisplayNode().SetWindowLevel(400, 40)
            slicer.util.setSliceViewerLayers(background=node, fit=True)
        self.until(lambda: self.logic.worker.hello is not None)
        self.ui.volumeSelector.setCurrentNode(node)
        self.live(2)

    def run(self) -> None:
        """Generates the report; one picture on the way."""
        ends: list = []
        self.logic.studyMade.connect(ends.append)
        self.logic.runFailed.connect(ends.append)
        self.ui.generateButton.click()
        self.until(lambda: ends or self.ui.progressBar.value > 400)
        self.take("panel_generate", self.ui.volumeSelector)
        self.until(lambda: ends)
        if isinstance(ends[0], Exception):
            raise ends[0]
        for sentence in self.report.sentences:
            print(sentence.id, sentence.text, sentence.segments)

    @property
    def report(self):
        return self.panel.editor.report

    def lesion(self, measured: bool):
        """(sentence, mask) of the largest lesion that a sentence is about; `measured`: that the text measures."""
        kinds = {row["id"]: row["kind"] for row in self.report.segments}
        found = [(sentence, segment) for sentence in self.report.sentences if len(sentence.segments) < 4
                 for segment in ([field.segment for field in sentence.fields] if measured else sentence.segments)
                 if kinds.get(segment) == "lesion"]
        if not found:
            raise LookupError("no sentence is about a lesion in this scan; choose another one")
        return max(found, key=lambda one: self.size(one[1]))

    def size(self, segment: str) -> float:
        row = self.report.measurement(segment, "volume")
        return row["value"] if row is not None else 0.0

    def link(self) -> None:
        """A sentence and its mask; where the model looked."""
        sentence, _segment = self.lesion(measured=False)
        self.show_in_3d()
        self.panel.editor.goTo(sentence.id)
        self.take("panel_sentence", self.ui.findingsFilter)
        self.ui.attributionCheckBox.setChecked(True)
        self.take("panel_heatmap", self.ui.reportState)
        self.ui.attributionCheckBox.setChecked(False)

    def correct(self) -> None:
        """Half a mask erased: the measurement in the text turns amber; then accepted, edited, signed, compared."""
        from UVLMReportLib.JourneyScene import eraseHalf

        sentence, segment = self.lesion(measured=True)
        eraseHalf(self.panel.study.segmentationNode, segment)
        self.until(lambda: self.report.stale_fields, 60)
        self.show_in_3d()
        self.panel.editor.goTo(sentence.id)
        self.live(1)
        self.ui.checksList.setCurrentRow(0)
        self.take("panel_measurement", self.ui.reportState)
        self.panel.editor.checks.acceptAll()
        normal = next(one for one in self.report.sentences if one.text.startswith("No ") and not one.segments
                      and " evidence " not in one.text and " or " not in one.text)
        self.report.edit_sentence(normal.id, normal.text.replace("No ", "No sign of a ", 1))
        self.panel.study.saveReport()
        self.panel.editor.signing.sign("A. Reader")
        self.ui.changesButton.click()
        self.take("panel_changes", self.ui.reportState)

    def show_in_3d(self) -> None:
        self.ui.show3DCheckBox.setChecked(False)
        self.ui.show3DCheckBox.setChecked(True)
        self.live(2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", nargs="?", help="a CT; without it the tutorial's phantom")
    parser.add_argument("--to", type=Path, default=ROOT / "Testing" / "output", help="folder for the pictures")
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    studio = Studio(given.to)
    studio.load(given.scan)
    studio.run()
    studio.link()
    studio.correct()
    studio.module.cleanup()


if __name__ == "__main__":
    main()
