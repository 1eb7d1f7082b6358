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


@pytest.fixture(autouse=True)
def nothingGoesWrongUnseen():
    """Fails a test in which a slot, timer or override raised, or a dialog waited in vain. Settings start empty."""
    import qt
    from harness.dialogs import DIALOGS
    from harness.watch import Errors

    qt.QSettings().clear()
    DIALOGS.clear()
    errors = Errors()
    errors.start()
    yield errors
    errors.stop()
    assert not errors.texts, "errors that Slicer would only print:\n" + "\n".join(errors.texts)
    assert not DIALOGS.unanswered, f"dialogs that nobody answered: {DIALOGS.unanswered}"


@pytest.fixture(autouse=True, scope="module")
def noProcessStaysBehind():
    """Fails where a file of tests leaves a child process running."""
    from harness.watch import children

    before = children()
    yield
    end = time.monotonic() + 60
    while left := {number: command for number, command in children().items() if number not in before}:
        assert time.monotonic() < end, f"still running: {left}"
        time.sleep(0.05)


@pytest.fixture()
def dialogs():
    """Answers dialogs: `dialogs.answer(qt.QMessageBox.Yes, "/some/path")`; `dialogs.texts` says what was asked."""
    from harness.dialogs import DIALOGS

    return DIALOGS


@pytest.fixture()
def loopMeter():
    """`with loopMeter() as meter: ...`; then `meter.longest` and `meter.longest_own`, in seconds."""
    from harness.watch import LoopMeter

    return LoopMeter


@pytest.fixture(scope="session")
def output() -> Path:
    """Folder for pictures to look at; not in git."""
    folder = TESTING / "output"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture()
def rendering():
    """Skips a test where views cannot be drawn."""
    reason = harness.no_rendering()
    if reason is not None:
        pytest.skip(reason)


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

    def processUntil(self, condition, seconds: float = 60.0) -> bool:
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
        if path.stem in opened:
            slicer.app.startupCompleted.emit()
        slicer.util.selectModule(path.stem)
        return getattr(slicer.modules, path.stem + "Widget")

    yield open_module
    for name in opened:
        harness.unload_module(name)
