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


def test_an_open_panel_and_its_self_test_share_one_worker(journeys):
    import slicer
    from harness.watch import children
    from UVLMReportLib.JourneyScene import waitFor

    slicer.util.selectModule("UVLMReport")  # opening it asks the worker a moment later
    widget, answers = slicer.util.getModuleWidget("UVLMReport"), []
    widget.panel.askTimer.start()
    journeys.logic.hello(answers.append)
    waitFor(lambda: answers and not widget.panel.askTimer.active, 60, "both answers")
    waitFor(lambda: widget.logic.worker.hello is not None, 60, "the panel's worker")
    assert len([command for command in children().values() if "uvlm_core.worker" in command]) == 1
