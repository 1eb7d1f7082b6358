"""Waiting for the end of another process, also where the kernel does not tell it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from uvlm_core.worker import parent

WAYS = ["as on this system", pytest.param("by asking", marks=pytest.mark.skipif(os.name == "nt", reason="POSIX"))]


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("way", WAYS)
def test_the_end_of_a_process_is_noticed_and_its_life_too(sleeper, way, monkeypatch):
    monkeypatch.setattr(parent, "POLL_SECONDS", 0.05)
    if way == "by asking":
        monkeypatch.setattr(parent, "_wait_with_descriptor", lambda pid: False)
    gone = threading.Event()
    parent.watch(sleeper.pid, gone.set)
    assert not gone.wait(0.3)
    sleeper.kill()  # not collected: a zombie counts as gone
    assert gone.wait(60)


@pytest.mark.parametrize("way", WAYS)
def test_a_process_that_does_not_exist_is_gone(sleeper, way, monkeypatch):
    if way == "by asking":
        monkeypatch.setattr(parent, "_wait_with_descriptor", lambda pid: False)
    sleeper.kill()
    sleeper.wait()
    gone = threading.Event()
    parent.watch(sleeper.pid, gone.set)
    assert gone.wait(60)


@pytest.mark.skipif(os.name == "nt", reason="POSIX")
def test_an_own_parent_is_gone_when_there_is_another(monkeypatch):
    parents = iter([41, 41, 1])
    monkeypatch.setattr(parent, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(parent.os, "getppid", lambda: next(parents))
    parent._wait_by_asking(41)
    assert next(parents, None) is None
