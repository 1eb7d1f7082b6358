"""The module and its worker open no connection: not when the module is opened, not in a run, not in an export."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Python loads this file at its start, in Slicer's place and in the worker; an audit hook cannot be removed again.
GUARD = '''
import os, sys
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto",
          "socket.sendmsg", "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect")
folder = os.path.dirname(os.path.abspath(__file__))
def refuse(event, arguments):
    if event in EVENTS:
        with open(os.path.join(folder, f"connection-{os.getpid()}.txt"), "a") as file:
            file.write(f"{event} {arguments}\\n")
        os._exit(99)
sys.addaudithook(refuse)
open(os.path.join(folder, f"guarded-{os.getpid()}.txt"), "w").close()
'''
SESSION = """
import sys, time
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1]) / "Testing"))
import harness
slicer = harness.start()
harness.load_module(Path(sys.argv[1]) / "UVLMReport" / "UVLMReport.py")
slicer.app.startupCompleted.emit()
slicer.util.selectModule("UVLMReport")
import qt
logic = slicer.modules.UVLMReportWidget.logic
ends = []
def wait():
    end = time.monotonic() + 240
    while not ends and time.monotonic() < end:
        slicer.app.processEvents(qt.QEventLoop.AllEvents, 20)
        time.sleep(0.01)
    return ends.pop()
from UVLMShared.Bootstrap import makeCoreImportable
makeCoreImportable()
from uvlm_core.phantom.generator import make_phantom
volume = make_phantom(21, (48, 72, 72)).volume
node = slicer.util.addVolumeFromArray(volume.array, volume.ijk_to_ras, "scan")
logic.studyMade.connect(ends.append)
logic.runFailed.connect(ends.append)
logic.generate(node, bundle=sys.argv[2])
study = wait()
logic.exportHtml(study, sys.argv[3] + "/report.html")
logic.exportPdf(study, sys.argv[3] + "/report.pdf")
logic.keepTrainingCase(study, sys.argv[3], ends.append, ends.append)
assert Path(wait(), "case.json").is_file()
slicer.modules.UVLMReportWidget.cleanup()
"""


def session(folder: Path, code: str, *arguments: object) -> subprocess.CompletedProcess:
    (folder / "sitecustomize.py").write_text(GUARD, "utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(folder), str(ROOT))), "PYTHONUTF8": "1"}
    return subprocess.run([sys.executable, "-c", code, *map(str, arguments)], cwd=folder, env=environment,
                          capture_output=True, text=True, encoding="utf-8", timeout=500)


def connections(folder: Path) -> list[str]:
    return [path.read_text("utf-8") for path in folder.glob("connection-*.txt")]


def test_the_guard_sees_a_connection(tmp_path):
    done = session(tmp_path, "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)")
    assert done.returncode == 99 and "socket." in connections(tmp_path)[0]


def test_a_session_in_the_module_opens_no_connection(tmp_path, model_folder):
    done = session(tmp_path, SESSION, ROOT, model_folder, tmp_path)
    assert connections(tmp_path) == []
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("guarded-*.txt"))) >= 2  # the session and its worker
    assert (tmp_path / "report.pdf").stat().st_size > 1000
    assert not re.search(r"src\s*=\s*[\"'](https?:)?//|<link|@import", (tmp_path / "report.html").read_text("utf-8"))
