"""Runs the worker over and over on one scan and prints, as JSON, what grows and how long things take.

    python Testing/benchmarks/worker_runs.py [--runs 20] [--shape 96x128x128] [--bundle DIR]

`runs`: seconds of each run and the worker's resident memory after it; `growth_mib`: from the third run to the last.
`measure`: seconds of the answer for one edited lesion, and for the liver, of a scan of 512 x 512 x 300 voxels, with a
label map of every second voxel and of every voxel as context. `cancel`: seconds from the request to the answer, at
some stages. `estimate`: what bundle_info expected before the first run, for a scan of 512 x 512 x 300. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "core"))
from worker_client import Worker

LARGE, SPACING = (300, 512, 512), np.diag([0.75, 0.75, 1.25, 1.0])
STAGES = ("encode", "measure", "save")


def runs(worker: Worker, volume: dict, folder: Path, count: int, bundle: dict) -> list[dict]:
    """Seconds and memory of each run."""
    rows = []
    for _ in range(count):
        begin = time.perf_counter()
        result = worker.call("run", volume=volume, out=str(folder / "study"), **bundle)
        rows.append({"seconds": round(time.perf_counter() - begin, 2), "reloaded": result["reloaded"],
                     "resident_mib": round(worker.memory_mib), "peak_mib": result["peak_memory_mib"]})
        print(json.dumps(rows[-1]), file=sys.stderr)
    return rows


def cancels(worker: Worker, volume: dict, folder: Path, bundle: dict) -> dict[str, float]:
    """Seconds until a run that is stopped in a stage is answered for."""
    found = {}
    for stage in STAGES:
        identity = worker.send("run", volume=volume, out=str(folder / "stopped"), **bundle)
        worker.wait_for(lambda: any(row["stage"] == stage for row in worker.notes("progress", identity)))
        time.sleep(0.1)
        begin = time.perf_counter()
        worker.send("cancel", id=identity)
        worker.answer(identity)
        found[stage] = round(time.perf_counter() - begin, 2)
    return found


def measures(worker: Worker, folder: Path) -> dict[str, float]:
    """Seconds for a lesion of 30 mm and a liver of 1.5 litres, the best of three."""
    from uvlm_core.labels import label_named

    rng = np.random.default_rng(0)
    labels = np.zeros(LARGE, np.uint8)
    labels[40:220, 120:400, 60:230] = label_named("lung_lower_lobe_right").id
    labels[20:110, 130:380, 100:330] = label_named("liver").id
    np.save(folder / "fine.npy", labels)
    np.save(folder / "coarse.npy", labels[::2, ::2, ::2])
    contexts = {"coarse context": {"labels": str(folder / "coarse.npy"), "ijk_to_ras": _scaled(2)},
                "fine context": {"labels": str(folder / "fine.npy"), "ijk_to_ras": _scaled(1)}}
    found = {}
    masks = (("lung_nodule", (24, 40, 40), (130, 200, 100)), ("liver", (90, 250, 230), (20, 130, 100)))
    for name, size, corner in masks:
        axes = np.meshgrid(*(np.linspace(-1, 1, extent) for extent in size), indexing="ij")
        np.save(folder / "mask.npy", sum(axis**2 for axis in axes) < 1)
        np.save(folder / "image.npy", rng.integers(-900, 200, size).astype(np.int16))
        own = SPACING.copy()
        own[:3, 3] = SPACING[:3, :3] @ corner[::-1]
        segment = {"id": f"{name}_1", "label": name, "mask": str(folder / "mask.npy"),
                   "image": str(folder / "image.npy"), "ijk_to_ras": own.tolist()}
        for title, context in contexts.items():
            seconds = []
            for _ in range(3):
                begin = time.perf_counter()
                worker.call("measure", segments=[segment], context=context)
                seconds.append(time.perf_counter() - begin)
            found[f"{name}, {title}"] = round(min(seconds), 3)
    return found


def _scaled(step: int) -> list:
    return (SPACING @ np.diag([step, step, step, 1])).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--shape", default="96x128x128", help="voxels of the phantom")
    parser.add_argument("--bundle", help="bundle folder; default the demo model")
    options = parser.parse_args()
    from uvlm_core.phantom.generator import make_phantom

    case = make_phantom(920000, tuple(map(int, options.shape.split("x"))), region="both")
    bundle = {"bundle": os.path.abspath(options.bundle)} if options.bundle else {}
    with tempfile.TemporaryDirectory() as name, Worker() as worker:
        folder = Path(name)
        np.save(folder / "volume.npy", case.volume.array)
        volume = {"array": str(folder / "volume.npy"), "ijk_to_ras": case.volume.ijk_to_ras.tolist()}
        info = worker.call("bundle_info", **bundle)
        rows = runs(worker, volume, folder, options.runs, bundle)
        numbers = {"machine": platform.platform(), "load": round(os.getloadavg()[0], 1), "shape": options.shape,
                   "estimate": {key: info[key] for key in ("expected_seconds", "expected_memory_mib")},
                   "runs": rows, "growth_mib": rows[-1]["resident_mib"] - rows[min(2, len(rows) - 1)]["resident_mib"],
                   "measure": measures(worker, folder), "cancel": cancels(worker, volume, folder, bundle)}
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
