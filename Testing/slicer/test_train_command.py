"""The short commands of the core that UVLMTrain runs as child processes."""

from __future__ import annotations

import pytest


@pytest.fixture()
def command(openModule, monkeypatch):
    """Makes commands that cannot be started; as on Windows, Qt tells that within start()."""
    openModule("UVLMTrain")
    from UVLMTrainLib import CoreCommand

    monkeypatch.setattr(CoreCommand, "pythonSlicer", lambda: "")
    return CoreCommand.CoreCommand


def test_a_failure_within_start_is_told_after_the_constructor(command, app):
    done, failed = [], []
    running = command([["dataset", "check"]], done.append, failed.append)
    assert running.running and not failed
    assert app.processUntil(lambda: failed)
    assert "could not be started" in failed[0] and not done and not running.running


def test_a_cancelled_start_is_not_told(command, app):
    failed = []
    command([["dataset", "check"]], print, failed.append).cancel()
    app.processEvents(0.1)
    assert not failed
