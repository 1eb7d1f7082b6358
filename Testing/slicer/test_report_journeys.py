"""The self test of UVLMReport (see UVLMReportLib/Journeys.py and PanelJourneys.py)."""

from __future__ import annotations

import module_journeys
import pytest


@pytest.fixture(scope="module")
def journeys():
    with module_journeys.loaded("UVLMReport") as test_class:
        yield test_class


@pytest.mark.parametrize("name", module_journeys.names("UVLMReport", "Journeys.py", "PanelJourneys.py"))
def test_journey(journeys, name):
    module_journeys.go(journeys, name)
