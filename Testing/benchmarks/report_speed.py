"""Times `uvlm report` as a user runs it, on a phantom of 512 x 512 x 300 voxels, and writes the numbers to a JSON file.

    python Testing/benchmarks/report_speed.py -o speed.json [--bundle DIR] [--runs 3] [--scan my_ct.nii.gz]

Wall time is from process start to exit, memory the largest resident size of the process. Nothing is asserted: compare
two files by eye, and only those of one idle machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHAPE, SPACING = (300, 512, 512), (1.25, 0.75, 0.75)


def write_scan(folder: Path) -> Path:
    """A chest and abdomen phantom with the voxels of a thin-slice CT; about a minute."""
    from uvlm_core.phantom.table import write_cases

    write_cases(1, folder, 920000, region="both", shape=SHAPE, spacing=SPACING)
    return folder / "images" / "phantom_920000.nii.gz"


def time_report(scan: Path, out: Path, bundle: str | None) -> dict:
    """One run in a process of its own: seconds, MiB, and the seconds of each stage."""
    command = [sys.executable, "-m", "uvlm_core.cli", "report", str(scan), "-o", str(out)]
    command += ["--bundle", bundle] if bundle else []
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    seconds = time.perf_counter() - started
    if done.returncode:
        sys.exit(done.stderr)
    stages = json.loads((out / "run.json").read_text("utf-8"))
    return {"seconds": round(seconds, 2), "peak_mib": stages["peak_memory_mib"], "stages": stages["seconds"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--out", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--bundle", help="bundle folder; default the demo model")
    parser.add_argument("--scan", type=Path, help="a scan of yours; default a phantom, made once beside the result")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    scan = options.scan or options.out.parent / "report_speed_scan" / "images" / "phantom_920000.nii.gz"
    if not scan.exists():
        scan = write_scan(scan.parent.parent)
    with tempfile.TemporaryDirectory() as folder:
        runs = [time_report(scan, Path(folder, str(number)), options.bundle) for number in range(options.runs)]
    numbers = {"scan": scan.name, "cores": os.cpu_count(), "machine": platform.platform(), "runs": runs}
    options.out.write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")
    print(json.dumps(numbers, indent=1))


if __name__ == "__main__":
    main()
