"""The self test of UVLMTrain, beside an open UVLMReport as in Slicer (see UVLMTrainLib/TrainJourneys.py)."""

from __future__ import annotations

import harness
import module_journeys
import pytest


@pytest.fixture(scope="module")
def journeys():
    harness.load_module(module_journeys.ROOT / "UVLMReport" / "UVLMReport.py")
    with module_journeys.loaded("UVLMTrain") as test_class:
        yield test_class
    harness.unload_module("UVLMReport")


@pytest.mark.parametrize("name", module_journeys.names("UVLMTrain", "TrainJourneys.py"))
def test_journey(journeys, name):
    module_journeys.go(journeys, name)
