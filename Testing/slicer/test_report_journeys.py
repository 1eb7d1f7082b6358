"""The module's own self test, journey by journey: the same code runs in Slicer (see UVLMReportLib/Journeys.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import harness
import pytest

MODULE = Path(__file__).resolve().parents[2] / "UVLMReport" / "UVLMReport.py"
NAMES = [line.split("(")[0].split()[1] for file in ("Journeys.py", "PanelJourneys.py")
         for line in (MODULE.parent / "UVLMReportLib" / file).read_text("utf-8").splitlines()
         if line.startswith("    def test_")]


@pytest.fixture(scope="module")
def journeys():
    """The test class of the loaded module, with its worker and folder."""
    harness.load_module(MODULE)
    test_class = sys.modules["UVLMReport"].UVLMReportTest
    test_class.setUpClass()
    yield test_class
    test_class.tearDownClass()
    harness.unload_module("UVLMReport")


@pytest.mark.parametrize("name", NAMES)
def test_journey(journeys, name):
    test = journeys()
    test.messageDelay = 0
    test.setUp()
    try:
        getattr(test, name)()
    finally:
        test.tearDown()
