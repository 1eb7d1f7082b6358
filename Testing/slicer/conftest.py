"""Tests of the Slicer modules on the harness: real MRML, real Qt, stand-ins for Slicer's own widgets."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

TESTING = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTING))

import harness  # noqa: E402

REASON = harness.missing()
if REASON is None:
    harness.start()


class SkippedFile(pytest.File):
    """A test file that cannot be imported here: one skipped test that says why."""

    def collect(self):
        yield SkippedItem.from_parent(self, name="all of it")


class SkippedItem(pytest.Item):
    """See SkippedFile."""

    def runtest(self):
        pytest.skip(REASON)


def pytest_pycollect_makemodule(module_path, parent):
    """Files of tests are not even imported where the harness cannot run."""
    return SkippedFile.from_parent(parent, path=module_path) if REASON else None


def pytest_report_header() -> str:
    """Whether these tests can run."""
    return f"Slicer modules: skipped, {REASON}" if REASON else "Slicer modules: on the harness"


@pytest.fixture()
def scene():
    """The scene, empty but for what a started Slicer has."""
    import slicer

    slicer.mrmlScene.Clear(0)
    yield slicer.mrmlScene
    slicer.mrmlScene.Clear(0)


class Application:
    """`slicer.app` and waiting for things to happen in it."""

    def __init__(self) -> None:
        import slicer

        self.app = slicer.app

    def processUntil(self, condition, seconds: float = 10.0) -> bool:
        """Run the event loop until `condition()` is true; False where the time is over."""
        import qt

        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                return False
            self.app.processEvents(qt.QEventLoop.AllEvents, 20)
            time.sleep(0.002)
        return True

    def processEvents(self, seconds: float = 0.0) -> None:
        """Run the event loop for a time, at least one turn."""
        end = time.monotonic() + seconds
        self.app.processEvents()
        while time.monotonic() < end:
            self.app.processEvents()
            time.sleep(0.002)


@pytest.fixture()
def app():
    """The application, with processUntil and processEvents."""
    return Application()


@pytest.fixture()
def openModule(scene):
    """Load a module of this repository by name, or from a path, show its panel, give back its Python widget."""
    import slicer

    opened = []

    def open_module(name: str | Path):
        path = Path(name) if isinstance(name, Path) else TESTING.parent / name / f"{name}.py"
        manager = slicer.app.moduleManager()
        if manager.module(path.stem) is None:
            harness.load_module(path)
            opened.append(path.stem)
        slicer.app.startupCompleted.emit()
        slicer.util.selectModule(path.stem)
        return getattr(slicer.modules, path.stem + "Widget")

    yield open_module
    for name in opened:
        harness.unload_module(name)
