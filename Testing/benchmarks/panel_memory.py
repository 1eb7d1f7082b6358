"""Whether memory grows over 20 runs on one volume in one program with one worker; writes a JSON file.

    python Testing/benchmarks/panel_memory.py -o memory.json [--runs 20] [--folder DIR] [--shape 96x128x128]

The real module on the test harness, with real MRML, the real worker and the demo model. After each run the report is
looked at with heat maps and one mask is edited, as a reader does. `rows`: seconds and resident memory of program and
worker in MiB after each run. `growth_mib`: of the line fitted through all but the first three runs, from its beginning
to its end; and how many nodes the scene and Python objects the program has more. Nothing is asserted. Linux only.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import time
from collections import Counter
from pathlib import Path

import numpy as np
from big_panel import BigPanel, resident_mib, slicer

WARM_UP = 3  # runs: libraries keep what they needed first


def read(panel: BigPanel) -> None:
    """What a reader does after a run."""
    from UVLMReportLib.JourneyScene import eraseHalf

    panel.ui.attributionCheckBox.setChecked(True)
    for sentence in panel.study.report.sentences[:5]:
        panel.panel.editor.goTo(sentence.id)
        panel.live(0.05)
    panel.ui.attributionCheckBox.setChecked(False)
    eraseHalf(panel.study.segmentationNode, "liver")
    panel.until(lambda: panel.study.masksEdited)
    panel.until(lambda: not panel.logic.masksPending(panel.study))
    panel.study.remove()  # it was worked on, so the next run would stay beside it


def growth(values: list[float]) -> float:
    """MiB from the beginning to the end of the line fitted through the values."""
    if len(values) < 2:
        return 0.0
    slope = np.polyfit(np.arange(len(values)), values, 1)[0]
    return round(float(slope) * (len(values) - 1), 1)


def kinds() -> Counter:
    """How many objects of each class Python's garbage collector knows."""
    gc.collect()
    return Counter(f"{type(thing).__module__}.{type(thing).__name__}" for thing in gc.get_objects())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--folder", type=Path, help="where the phantom is kept; default beside the JSON file")
    parser.add_argument("--shape", default="96x128x128", help="voxels of the phantom, z x y x x")
    parser.add_argument("--runs", type=int, default=20)
    options = parser.parse_args()
    panel = BigPanel(options.folder or options.out.resolve().parent, tuple(map(int, options.shape.split("x"))))
    panel.ui.volumeSelector.setCurrentNode(panel.volume)
    panel.until(lambda: panel.logic.worker.hello is not None)
    rows, objects, nodes = [], Counter(), 0
    try:
        for number in range(options.runs):
            begin = time.perf_counter()
            panel.generate()
            seconds = time.perf_counter() - begin
            read(panel)
            counted = kinds()
            rows.append({"seconds": round(seconds, 1), "module_mib": round(resident_mib(), 1),
                         "worker_mib": round(panel.worker_mib(), 1)})
            print(number + 1, rows[-1], flush=True)
            if number == WARM_UP - 1:
                objects, nodes = counted, slicer.mrmlScene.GetNumberOfNodes()
        more = {name: count - objects[name] for name, count in (counted - objects).most_common(8)}
        numbers = {"machine": platform.platform(), "load": round(os.getloadavg()[0], 1), "shape": options.shape,
                   "growth_mib": {part: growth([row[f"{part}_mib"] for row in rows[WARM_UP:]])
                                  for part in ("module", "worker")},
                   "more_nodes": slicer.mrmlScene.GetNumberOfNodes() - nodes, "more_objects": more, "rows": rows}
        options.out.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
        print(json.dumps(numbers, indent=1), flush=True)
    finally:
        panel.close()


if __name__ == "__main__":
    main()
