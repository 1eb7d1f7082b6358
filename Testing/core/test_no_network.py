"""Nothing is sent anywhere: the code imports no network library, and a run opens no connection."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from worker_client import Worker

from uvlm_core.phantom.generator import make_phantom
from uvlm_core.volumes.writing import write_volume

ROOT = Path(__file__).resolve().parents[2]
LIBRARIES = ("requests", "urllib3?", "http", "httpx", "socket", "socketserver", "ssl", "ftplib", "smtplib", "telnetlib",
             "xmlrpc", "aiohttp", "websockets?", "huggingface_hub", "boto3", "paramiko")
# An audit hook sees what C code does too, and cannot be removed again.
GUARDED = """
import os, sys
EVENTS = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.bind", "socket.sendto",
          "socket.sendmsg", "urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect")
def refuse(event, arguments):
    if event in EVENTS:
        os.write(2, f"network: {event} {arguments}\\n".encode())
        os._exit(99)
sys.addaudithook(refuse)
"""
RUN = GUARDED + "from uvlm_core.cli import main\nmain()\n"


def test_no_module_imports_a_network_library():
    pattern = re.compile(rf"^\s*(import|from)\s+({'|'.join(LIBRARIES)})\b", re.MULTILINE)
    found = [path.name for path in (ROOT / "uvlm_core").rglob("*.py") if pattern.search(path.read_text("utf-8"))]
    assert found == []


def test_no_module_names_an_address_to_send_to():
    # names of code systems and schemas have the form of an address and are never opened
    names = r"www\.w3\.org|json-schema\.org|arxiv\.org|doi\.org|loinc\.org|snomed\.info|unitsofmeasure\.org"
    names += r"|terminology\.hl7\.org|dicom\.nema\.org"
    asked = re.compile(rf"https?://(?!{names})[\w.-]+")
    for path in (ROOT / "uvlm_core").rglob("*.py"):
        assert not asked.search(path.read_text("utf-8")), path


def test_the_page_asks_for_nothing_outside():
    outside = re.compile(r"(src|href)\s*=\s*[\"'](https?:)?//|fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(")
    for path in (ROOT / "uvlm_core" / "report" / "page_assets").iterdir():
        assert not outside.search(path.read_text("utf-8")), path


def test_the_guard_sees_a_connection():
    code = GUARDED + "import socket\nsocket.create_connection(('127.0.0.1', 9), timeout=1)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 99 and "network: socket." in done.stderr


def test_a_whole_run_opens_no_connection(tmp_path, model_folder):
    write_volume(tmp_path / "scan.nii.gz", make_phantom(21, (48, 72, 72)).volume)
    done = subprocess.run([sys.executable, "-c", RUN, "report", str(tmp_path / "scan.nii.gz"), "--bundle",
                           str(model_folder), "-o", str(tmp_path / "study")],
                          capture_output=True, text=True, cwd=ROOT, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "study" / "study.json").read_text("utf-8"))["findings"]
    page = (tmp_path / "study" / "report.html").read_text("utf-8")
    assert not re.search(r"(src|href)\s*=\s*[\"'](https?:)?//", page)


def test_phantoms_open_no_connection(tmp_path):
    done = subprocess.run([sys.executable, "-c", RUN, "phantom", "1", "-o", str(tmp_path), "--shape", "32x48x48"],
                          capture_output=True, text=True, cwd=ROOT, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_worker_opens_no_connection(model_folder):
    with Worker(command=(sys.executable, "-c", RUN, "worker")) as worker:
        assert worker.call("hello")["missing"] == []
        assert worker.call("load_bundle", bundle=str(model_folder))["loaded"]
        assert worker.call("check", report={"sections": []}, findings=[], segments=[], imaged=[])
        assert worker.call("shutdown") and worker.ended() == 0
