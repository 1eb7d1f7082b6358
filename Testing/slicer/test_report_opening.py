"""Opening the module costs next to nothing: no torch, no worker, a fraction of a second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 0.3  # of CPU, from nothing to the shown panel
HEAVY = {"torch", "monai", "transformers", "nibabel", "highdicom", "pydicom", "tokenizers"}
CODE = """
import json, os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1] + "/Testing")
import harness
harness.start()
sys.path.pop(0)
import slicer
begin = time.thread_time()
harness.load_module(Path(sys.argv[1], "UVLMReport", "UVLMReport.py"))
slicer.util.selectModule("UVLMReport")
seconds = time.thread_time() - begin
worker = slicer.modules.UVLMReportWidget.logic.worker
print(json.dumps({"seconds": seconds, "state": worker.state,
                  "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
sys.stdout.flush()
os._exit(0)  # without Qt's own tidying up
"""


def test_module_opens_at_once_and_imports_nothing_heavy():
    done = subprocess.run([sys.executable, "-c", CODE, str(ROOT)], capture_output=True, text=True, timeout=300,
                          check=True)
    told = json.loads(done.stdout.splitlines()[-1])
    assert not HEAVY & set(told["modules"])
    assert told["state"] == "stopped"  # the worker starts a moment later, or with the first run
    assert told["seconds"] < LONGEST_SECONDS, told["seconds"]
