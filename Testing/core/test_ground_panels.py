"""The .ui files of the modules hold only what a real Slicer has: classes, properties, signals and slots.

Testing/harness/qt_api.json was read from a running Slicer; what it does not list does not exist there.
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PANELS = sorted(path for module in ("UVLMReport",) for path in (ROOT / module).rglob("*.ui"))


@pytest.fixture(scope="module")
def api() -> dict:
    return json.loads((ROOT / "Testing" / "harness" / "qt_api.json").read_text("utf-8"))


@pytest.fixture(params=PANELS, ids=lambda path: path.name)
def panel(request) -> ElementTree.Element:
    return ElementTree.parse(request.param).getroot()


def is_own(widget: ElementTree.Element) -> bool:
    """A class of Slicer or CTK; Qt's own are known to every Qt."""
    return widget.get("class").startswith(("ctk", "qMRML", "qSlicer"))


def test_there_are_panels():
    assert [path.name for path in PANELS] == ["UVLMReport.ui"]


def test_every_class_exists_in_slicer(panel, api):
    used = {widget.get("class") for widget in panel.iter("widget")}
    assert used - set(api["classes"]) - {"QWidget", "QFrame"} == set()
    declared = {one.findtext("class") for one in panel.iter("customwidget")}
    assert {widget.get("class") for widget in panel.iter("widget") if is_own(widget)} <= declared


def test_every_property_exists_in_slicer(panel, api):
    common = set(api["base"]["QWidget"]["properties"]) | {"objectName"}
    for widget in (widget for widget in panel.iter("widget") if is_own(widget)):
        known = common | set(api["classes"][widget.get("class")]["properties"])
        stated = {one.get("name") for one in widget.findall("property") if one.get("stdset") != "0"}
        assert stated - known == set(), widget.get("name")


def test_names_are_unique_and_say_what_they_name(panel):
    names = [widget.get("name") for widget in panel.iter("widget")]
    assert sorted({name for name in names if names.count(name) > 1}) == []
    by_default = ("pushButton", "toolButton", "lineEdit", "checkBox", "comboBox", "label")  # as Qt Designer names them
    assert [name for name in names if name.rstrip("0123456789_") in by_default] == []


def test_mrml_widgets_get_the_scene(panel):
    """Without this connection a selector stays empty in Slicer, without a word."""
    root = panel.find("widget")
    assert root.get("class") == "qMRMLWidget"
    served = {one.findtext("receiver") for one in panel.iter("connection")
              if one.findtext("sender") == root.get("name")
              and one.findtext("signal") == "mrmlSceneChanged(vtkMRMLScene*)"
              and one.findtext("slot") == "setMRMLScene(vtkMRMLScene*)"}
    wanted = {widget.get("name") for widget in panel.iter("widget") if widget.get("class").startswith("qMRML")}
    assert wanted - {root.get("name")} == served


def test_connections_name_what_exists(panel, api):
    classes = {widget.get("name"): widget.get("class") for widget in panel.iter("widget")}
    for one in panel.iter("connection"):
        for role, kind in (("sender", "signals"), ("receiver", "slots")):
            own = classes[one.findtext(role)]
            name = one.findtext(kind[:-1])
            if own.startswith(("ctk", "qMRML", "qSlicer")):
                assert name in api["classes"][own][kind], f"{own} has no {name}"


def test_who_can_click_is_told_what_happens(panel):
    """Each button and box has a tool tip, so that nobody must try it out."""
    silent = [widget.get("name") for widget in panel.iter("widget")
              if widget.get("class") in ("QPushButton", "QToolButton", "QCheckBox", "QComboBox", "qMRMLNodeComboBox")
              and not widget.findtext("property[@name='toolTip']/string")]
    assert silent == []


def test_the_panel_says_that_it_is_for_research(panel):
    assert any("research use only" in (text.text or "").lower() for text in panel.iter("string"))
