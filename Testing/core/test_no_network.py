"""Nothing is sent anywhere: the code imports no network library, and a run needs no socket."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from uvlm_core.phantom.generator import make_phantom
from uvlm_core.resources import resource
from uvlm_core.volumes.writing import write_volume

ROOT = Path(__file__).resolve().parents[2]
BLOCKED = """
import socket, sys
def refuse(*args, **kwargs):
    raise OSError("a socket was opened")
socket.socket.connect = socket.socket.connect_ex = socket.socket.bind = refuse
socket.getaddrinfo = socket.create_connection = refuse
from uvlm_core.cli import main
main()
"""


def test_no_module_imports_a_network_library():
    pattern = re.compile(r"^\s*(import|from)\s+(requests|urllib|http|socket|ftplib|smtplib|aiohttp|httpx|huggingface_hub)\b",
                         re.MULTILINE)
    found = [path.name for path in (ROOT / "uvlm_core").rglob("*.py") if pattern.search(path.read_text("utf-8"))]
    assert found == []


def test_the_page_asks_for_nothing_outside():
    for path in (ROOT / "uvlm_core" / "report" / "page_assets").iterdir():
        assert not re.search(r"(src|href)\s*=\s*[\"']https?:|fetch\(|XMLHttpRequest|import\(", path.read_text("utf-8"))


def test_a_whole_run_with_sockets_blocked(tmp_path):
    try:
        resource("Models", "demo", "bundle.json")
    except FileNotFoundError:
        pytest.skip("the demo model is not in this checkout")
    write_volume(tmp_path / "scan.nii.gz", make_phantom(21, (48, 72, 72)).volume)
    done = subprocess.run([sys.executable, "-c", BLOCKED, "report", str(tmp_path / "scan.nii.gz"), "-o",
                           str(tmp_path / "study")], capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "study" / "report.html").exists()
