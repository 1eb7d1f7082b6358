"""Opening a module costs next to nothing: no torch, no worker, a fraction of a second."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 0.8  # of CPU, from nothing to the shown panel; 0.2 here: room for slower machines
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
name = sys.argv[2]
harness.load_module(Path(sys.argv[1], name, name + ".py"))
slicer.util.selectModule(name)
seconds = time.thread_time() - begin
state = slicer.modules.UVLMReportWidget.logic.worker.state if name == "UVLMReport" else None
print(json.dumps({"seconds": seconds, "state": state,
                  "modules": sorted({name.partition(".")[0] for name in sys.modules})}))
sys.stdout.flush()
os._exit(0)  # without Qt's own tidying up
"""


def opened(name: str) -> dict:
    """What a process of its own tells after it has opened the module."""
    done = subprocess.run([sys.executable, "-c", CODE, str(ROOT), name], capture_output=True, text=True, timeout=300,
                          check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_report_opens_at_once_and_imports_nothing_heavy():
    told = opened("UVLMReport")
    assert not HEAVY & set(told["modules"])
    assert told["state"] == "stopped"  # the worker starts a moment later, or with the first run
    assert told["seconds"] < LONGEST_SECONDS, told["seconds"]


def test_train_opens_at_once_and_imports_nothing_heavy():
    told = opened("UVLMTrain")
    assert not HEAVY & set(told["modules"])
    assert told["seconds"] < LONGEST_SECONDS, told["seconds"]
