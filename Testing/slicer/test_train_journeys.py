"""The self test of UVLMTrain, journey by journey: the same code runs in Slicer (see UVLMTrainLib/TrainJourneys.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import harness
import pytest

MODULE = Path(__file__).resolve().parents[2] / "UVLMTrain" / "UVLMTrain.py"
TEXT = (MODULE.parent / "UVLMTrainLib" / "TrainJourneys.py").read_text("utf-8")
NAMES = [line.split("(")[0].split()[1] for line in TEXT.splitlines() if line.startswith("    def test_")]


@pytest.fixture(scope="module")
def journeys():
    """The test class of the loaded module, with its data set."""
    harness.load_module(MODULE)
    test_class = sys.modules["UVLMTrain"].UVLMTrainTest
    test_class.setUpClass()
    yield test_class
    test_class.tearDownClass()
    harness.unload_module("UVLMTrain")


@pytest.mark.parametrize("name", NAMES)
def test_journey(journeys, name):
    test = journeys()
    test.messageDelay = 0
    test.setUp()
    try:
        getattr(test, name)()
    finally:
        test.tearDown()
