"""What all tests share: the checkout on the path, the folders of real data, a model to run."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = {"UVLM_DATA": "real scans", "UVLM_REFERENCE": "numbers of the released code"}

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded, see uvlm_core.processors
sys.path.insert(0, str(ROOT))  # tests run on the checkout, installed or not, and so do the processes that they start
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
for name in FOLDERS:
    if os.environ.get(name):  # some tests change the working folder
        os.environ[name] = str(Path(os.environ[name]).expanduser().absolute())


def pytest_report_header() -> list[str]:
    """Which folders are there; without them the tests that need them are skipped."""
    return [f"{name} ({what}): {os.environ.get(name) or 'not set, its tests are skipped'}"
            for name, what in FOLDERS.items()]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture
def short_collections():
    """For tests that measure single moments: a garbage collection does not visit what is there already, for which it
    takes a tenth of a second beside the core's libraries."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    """The demo model where the checkout has it, otherwise a small untrained one, which says nothing sensible."""
    demo = ROOT / "Resources" / "Models" / "demo"
    if (demo / "bundle.json").exists():
        return demo
    from untrained_bundle import write_bundle

    return write_bundle(tmp_path_factory.mktemp("model") / "untrained", background=50.0)  # no masks: fast
