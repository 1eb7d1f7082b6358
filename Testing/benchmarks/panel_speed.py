"""A reader's whole way through the panel with a scan of 512 x 512 x 300 voxels, timed; writes a JSON file.

    python Testing/benchmarks/panel_speed.py -o speed.json [--folder DIR] [--shape 300x512x512]

The real module on the test harness, with real MRML, the real worker and the demo model: generate, click sentences, heat
map, edit masks, accept, sign, keep as a training case, export, 3-D.

`blocks`: per step the longest time that the event loop stood still, in processor time of the main thread, and where.
`edits`: from an edit of one mask to the amber field, in milliseconds: `clock` (200 ms of it is the pause after the last
stroke), `module` and `worker` processor time, and the module's time in its parts. An edit "in place" changes voxels of
the label map; "as the Segment Editor" is Slicer's own call after a stroke, whose own time is `slicer`.
Nothing is asserted. Processor times hold on a busy machine, clock times do not. Linux only.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import tempfile
import time
from pathlib import Path

from big_panel import SHAPE, BigPanel, erase_as_segment_editor, slicer
from heartbeat import Heartbeat
from UVLMReportLib import MaskEdits, MaskShapes, ReportEditor, ReportMarks, StudyScene
from UVLMReportLib.Surfaces import haveSurfaces

PARTS = ((MaskShapes.MaskShapes, "updating", "look which mask changed"),
         (MaskEdits.MaskEdits, "_cuttingOut", "cut out and write"),
         (MaskEdits.MaskEdits, "_took", "apply, save and show"),
         (StudyScene.StudyScene, "saveReport", ". save and show"),
         (ReportEditor.ReportEditor, "refresh", ". . show the report"),
         (ReportMarks.ReportMarks, "show", ". . . marks"))


class Parts:
    """Processor time of the main thread in some functions, generators included."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        for kind, name, title in PARTS:
            setattr(kind, name, self._timed(getattr(kind, name), title))

    def take(self) -> dict[str, float]:
        """Milliseconds since the last time."""
        found, self.seconds = self.seconds, {}
        return {title: round(1000 * found.get(title, 0.0), 1) for _kind, _name, title in PARTS}

    def _timed(self, function, title: str):
        def add(begin: float) -> None:
            self.seconds[title] = self.seconds.get(title, 0.0) + time.thread_time() - begin

        def stepping(steps):
            while True:
                begin = time.thread_time()
                try:
                    next(steps)
                except StopIteration as finished:
                    return finished.value
                finally:
                    add(begin)
                yield

        @functools.wraps(function)
        def timed(*arguments, **keywords):
            begin = time.thread_time()
            result = function(*arguments, **keywords)
            add(begin)
            return stepping(result) if hasattr(result, "send") else result

        return timed


class Reader:
    """Does what a reader does, one method a step."""

    def __init__(self, panel: BigPanel) -> None:
        self.panel, self.heart, self.parts = panel, Heartbeat(), Parts()
        self.edits: dict[str, dict] = {}

    def open(self) -> None:
        """The panel looks at the volume and asks the worker what there is."""
        self.panel.ui.volumeSelector.setCurrentNode(self.panel.volume)
        self.panel.until(lambda: self.panel.logic.worker.hello is not None)
        self.panel.live(1)

    def generate(self) -> None:
        self.panel.generate()

    def click_sentences(self) -> None:
        for sentence in self.report.sentences:
            self.editor.goTo(sentence.id)
            self.panel.live(0.05)

    def click_findings(self) -> None:
        for number in range(self.panel.panel.findings.proxy.rowCount()):
            self.panel.ui.findingsTable.setCurrentIndex(self.panel.panel.findings.proxy.index(number, 0))
            self.panel.live(0.05)

    def show_heat_maps(self) -> None:
        self.panel.ui.attributionCheckBox.setChecked(True)
        self.click_sentences()
        for stage in range(self.panel.ui.attributionStage.count):
            self.panel.ui.attributionStage.setCurrentIndex(stage)
            self.panel.live(0.05)
        self.panel.ui.attributionCheckBox.setChecked(False)

    def edit_masks(self) -> None:
        from UVLMReportLib.JourneyScene import eraseHalf

        lesion, organ = self._measured("lesion"), "liver"
        for title, segment, edit in (("lesion in place, first edit", lesion, eraseHalf),
                                     ("lesion in place", lesion, eraseHalf),
                                     ("lesion as the Segment Editor, first edit", lesion, erase_as_segment_editor),
                                     ("lesion as the Segment Editor", lesion, erase_as_segment_editor),
                                     ("liver as the Segment Editor", organ, erase_as_segment_editor),
                                     ("liver in place", organ, eraseHalf)):
            self.edits[title] = self._edit(segment, edit)

    def show_3d(self) -> None:
        """The conversion of each mask is one call of Slicer's."""
        self.panel.ui.show3DCheckBox.setChecked(True)
        self.panel.until(lambda: haveSurfaces(self.study.segmentationNode.GetSegmentation()))
        self.panel.ui.show3DCheckBox.setChecked(False)
        self.panel.until(lambda: not self.panel.logic.masksPending(self.study))

    def accept(self) -> None:
        self.panel.ui.checksList.setCurrentRow(0)
        self.panel.ui.acceptButton.click()
        self.panel.live(0.2)
        self.editor.change(lambda report: report.accept_all_fields())

    def overrule(self) -> None:
        self.panel.panel.findings.overrule(self.report.findings[0]["name"], "uncertain")
        self.panel.live(0.2)

    def compare(self) -> None:
        self.panel.ui.changesButton.setChecked(True)
        self.panel.live(0.2)
        self.panel.ui.changesButton.setChecked(False)

    def sign(self) -> None:
        self.editor.signing.sign("Reader")
        self.panel.live(0.2)

    def keep_case(self) -> None:
        self._written(lambda folder, done, failed: self.panel.logic.keepTrainingCase(self.study, folder, done, failed))

    def export_study(self) -> None:
        self._written(lambda folder, done, failed: self.panel.logic.exportStudy(self.study, folder + "/study", done,
                                                                                failed))

    def export_report(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for ending, write in (("html", self.panel.logic.exportHtml), ("txt", self.panel.logic.exportText),
                                  ("pdf", self.panel.logic.exportPdf)):
                write(self.study, f"{folder}/report.{ending}")
                self.panel.live(0.1)

    def generate_again(self) -> None:
        made: list = []
        self.panel.logic.studyMade.connect(made.append)
        self.panel.logic.generate(self.panel.volume)
        self.panel.until(lambda: made)
        self.panel.until(lambda: not self.panel.logic.masksPending(self.study))

    @property
    def study(self):
        return self.panel.study

    @property
    def report(self):
        return self.study.report

    @property
    def editor(self):
        return self.panel.panel.editor

    def _measured(self, kind: str) -> str:
        """The largest mask of a kind, whose longest diameter and volume are put into the text as live fields."""
        rows = {row["id"]: row for row in self.report.segments if row["kind"] == kind}
        sizes = {row["segment"]: row["value"] for row in self.report.measurements if row["name"] == "volume"}
        segment = max(rows, key=lambda name: sizes[name])
        for quantity in ("longest_diameter", "volume"):
            sentence = self.report.sentences[0]
            self.editor.change(lambda report, quantity=quantity, sentence=sentence: report.insert_measurement(
                sentence.id, len(sentence.text) - 1, segment, quantity))
        return segment

    def _edit(self, segment: str, edit) -> dict:
        """One edit, from the moment in which Slicer tells of it until the panel shows what it means."""
        study, measured = self.study, []
        edits = self.panel.logic._edits[study.reportNodeId]

        def heard(study, names: list[str]) -> None:
            measured.extend(names)

        edits.measured.connect(heard)
        self.heart.mark("strokes of the reader, Slicer's own")
        begin = time.thread_time()
        voxels = edit(study.segmentationNode, segment)
        slicers = time.thread_time() - begin
        self.heart.mark(Reader.edit_masks.__name__)
        self.parts.take()
        begin, clock, worker = time.thread_time(), time.perf_counter(), self.panel.worker_seconds()
        self.panel.until(lambda: measured, 60)
        row = {"clock": time.perf_counter() - clock, "module": time.thread_time() - begin,
               "worker": self.panel.worker_seconds() - worker, "slicer": slicers}
        parts = self.parts.take()
        edits.measured.disconnect(heard)
        self.panel.until(lambda: not self.panel.logic.masksPending(study))
        return {**{name: round(1000 * seconds) for name, seconds in row.items()}, "voxels": voxels,
                "measured": measured, "parts": parts}

    def _written(self, write) -> None:
        done: list = []
        with tempfile.TemporaryDirectory() as folder:
            write(folder, done.append, self.panel.failures.append)
            self.panel.until(lambda: done)


STEPS = (Reader.open, Reader.generate, Reader.click_sentences, Reader.click_findings, Reader.show_heat_maps,
         Reader.edit_masks, Reader.accept, Reader.overrule, Reader.compare, Reader.sign, Reader.keep_case,
         Reader.export_study, Reader.export_report, Reader.show_3d, Reader.generate_again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--folder", type=Path, help="where the phantom is kept; default beside the JSON file")
    parser.add_argument("--shape", default="x".join(map(str, SHAPE)), help="voxels of the phantom, z x y x x")
    options = parser.parse_args()
    shape = tuple(map(int, options.shape.split("x")))
    panel = BigPanel(options.folder or options.out.resolve().parent, shape)
    reader, seconds = Reader(panel), {}
    try:
        for step in STEPS:
            reader.heart.mark(step.__name__)
            begin = time.perf_counter()
            step(reader)
            seconds[step.__name__] = round(time.perf_counter() - begin, 1)
            print(step.__name__, seconds[step.__name__], flush=True)
        reader.heart.stop()
        numbers = {"machine": platform.platform(), "cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
                   "shape": options.shape, "masks": slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"),
                   "seconds": seconds, "edits": reader.edits, "blocks": reader.heart.report()}
        options.out.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
        print(json.dumps(numbers, indent=1), flush=True)
    finally:
        panel.close()


if __name__ == "__main__":
    main()
