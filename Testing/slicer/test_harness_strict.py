"""What a real Slicer lacks does not exist on the harness, and the stand-ins have nothing more than the real classes."""

from __future__ import annotations

import re
from pathlib import Path

import ctk
import pytest
import qt
import slicer
from harness import listing
from harness.stand_ins.stand_in import NotEmulated, stand_in

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("make", "name"), [
    (lambda: qt.QLabel(), "setFoo"),
    (lambda: qt.QPushButton(), "emit"),  # PySide6 has it
    (lambda: qt.QFormLayout(), "setRowVisible"),  # Qt 6 only
    (lambda: qt.QTimer(), "id"),
    (lambda: qt.QMouseEvent(qt.QEvent.MouseMove, qt.QPointF(1, 1), qt.QPointF(1, 1), qt.Qt.NoButton, qt.Qt.NoButton,
                            qt.Qt.NoModifier), "position"),
    (lambda: slicer.qMRMLNodeComboBox(), "currentIndex"),  # a QWidget, not a QComboBox
    (lambda: slicer.qMRMLNodeComboBox(), "addItem"),
    (lambda: slicer.qMRMLSegmentsTableView(), "setModel"),
    (lambda: ctk.ctkCollapsibleButton(), "contents"),
    (lambda: ctk.ctkSliderWidget(), "sliderMoved"),
    (lambda: slicer.qMRMLSliceView(), "setSliceLogic"),
])
def test_no_such_attribute(make, name):
    widget = make()
    if name == "emit":
        with pytest.raises(AttributeError, match="emit"):
            widget.emit("clicked()")
        return
    assert not hasattr(widget, name)
    if isinstance(widget, qt.QObject):
        with pytest.raises(AttributeError):
            setattr(widget, name, 1)


@pytest.mark.parametrize("name", ["QDesktopWidget", "QRegExp", "QWebEngineView", "pyqtSignal", "QDate2"])
def test_names_of_the_module_qt(name):
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_every_name_in_qt_is_one_of_slicer():
    extra = {name for name in vars(qt) if not name.startswith("__")} - listing.names_in_qt()
    assert extra == set()


def test_nothing_leaks_into_slicer():
    for name in ("getNode", "arrayFromVolume", "loadVolume", "VTKObservationMixin", "sys", "me"):
        assert not hasattr(slicer, name), name
        assert name in ("sys", "me") or hasattr(slicer.util, name)


def test_new_attributes_only_on_python_classes():
    class Label(qt.QLabel):
        pass

    label = Label()
    label.mine = 3
    assert label.mine == 3
    with pytest.raises(AttributeError, match="creating new attributes"):
        qt.QLabel().mine = 3


def test_a_property_is_no_method():
    label = qt.QLabel("text")
    with pytest.raises(TypeError, match="not callable"):
        label.text()
    with pytest.raises(AttributeError, match="not writable"):
        label.selectedText = "x"
    with pytest.raises(AttributeError, match="overwritten"):
        label.setText = print


def test_unknown_signals_and_slots_are_refused():
    combo = slicer.qMRMLNodeComboBox()
    with pytest.raises(AttributeError, match="no signal"):
        combo.connect("currentIndexChanged(int)", print)
    with pytest.raises(AttributeError, match="no signal"):
        qt.QPushButton().connect("clicked(int)", print)
    with pytest.raises(AttributeError, match="Qt 5 only"):
        qt.QComboBox().connect("currentIndexChanged(QString)", print)
    with pytest.raises(AttributeError, match="no slot"):
        combo.connect("currentNodeIDChanged(QString)", qt.QLabel(), "setTextual(QString)")


def test_an_overload_must_be_named_where_it_matters():
    combo = qt.QComboBox()
    with pytest.raises(TypeError, match="ambiguous"):
        combo.currentIndexChanged.connect(lambda index: None)
    seen = []
    combo.currentIndexChanged.connect(lambda: seen.append("changed"))
    combo.addItems(["a", "b"])
    assert seen == ["changed"]


def test_a_stand_in_cannot_have_more_than_the_real_class():
    with pytest.raises(TypeError, match="lacks"):
        @stand_in
        class ctkRangeWidget(qt.QWidget):
            def chooseAnything(self):
                """No such method."""


def test_what_is_missing_in_a_stand_in_says_so():
    with pytest.raises(NotEmulated, match="not in the harness yet"):
        ctk.ctkPathLineEdit().updateHasValidInput()
    with pytest.raises(NotEmulated):
        ctk.ctkThumbnailLabel()
    assert not hasattr(ctk, "ctkNothing")


def test_a_ui_file_with_an_unknown_property_is_refused(tmp_path):
    path = tmp_path / "wrong.ui"
    path.write_text('<ui version="4.0"><widget class="qMRMLNodeComboBox" name="box"><property name="currentIndex">'
                    "<number>1</number></property></widget><customwidgets><customwidget><class>qMRMLNodeComboBox</class>"
                    "<extends>QWidget</extends><header>x.h</header></customwidget></customwidgets></ui>")
    with pytest.raises(RuntimeError, match="no property 'currentIndex'"):
        slicer.util.loadUI(str(path))


def test_modules_name_enumerations_as_pythonqt_has_them():
    """qt.Qt.AlignLeft, not qt.Qt.AlignmentFlag.AlignLeft, which only PySide6 has."""
    files = [path for module in ("UVLMReport", "UVLMTrain") for path in (ROOT / module).rglob("*.py")]
    scoped = [f"{path.name}: {found}" for path in files
              for found in re.findall(r"\bqt\.Q\w*\.[A-Z]\w*\.[A-Z]\w*", path.read_text("utf-8"))]
    assert files and scoped == []


def test_a_keyword_is_refused():
    with pytest.raises(TypeError, match="keyword"):
        qt.QLabel().setText(text="x")
