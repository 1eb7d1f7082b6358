"""PythonQt's manners: properties, signals, enumerations, values, timers, processes, settings, models."""

from __future__ import annotations

import contextlib
import gc
import shutil
import sys
import weakref

import pytest
import qt
import slicer


def test_properties_are_attributes():
    edit = qt.QTextEdit()
    edit.plainText = "one\ntwo"
    assert edit.toPlainText() == "one\ntwo" and edit.plainText == "one\ntwo"
    assert edit.document.blockCount == 2
    button = qt.QPushButton("Go")
    button.enabled = False
    button.name = "goButton"
    assert (button.text, button.enabled, button.objectName) == ("Go", False, "goButton")
    assert button.className() == "QPushButton" and button.inherits("QWidget")
    button.checkable = True
    button.checked = True
    assert button.checked is True and button.isChecked()


def test_signals_by_signature_and_by_name():
    button, seen = qt.QPushButton(), []
    button.checkable = True
    for signal in ("clicked()", "clicked(bool)", "toggled( bool )"):
        button.connect(signal, lambda *given, signal=signal: seen.append((signal, given)))
    button.clicked.connect(lambda: seen.append("no argument wanted"))
    button.click()
    assert seen == [("toggled( bool )", (True,)), ("clicked()", ()), ("clicked(bool)", (True,)), "no argument wanted"]


def test_disconnect():
    button, seen = qt.QPushButton(), []

    def heard():
        seen.append(1)

    button.connect("clicked()", heard)
    assert button.disconnect("clicked()", heard) and not button.disconnect("clicked()", heard)
    button.clicked.connect(heard)
    button.clicked.disconnect(heard)
    button.click()
    assert seen == []


def test_what_is_disconnected_is_let_go():
    class Listener:
        def heard(self, *ignored):
            """Never called."""

    button, combo, gone = qt.QPushButton(), slicer.qMRMLNodeComboBox(), []
    for sender, signal in ((button, "clicked(bool)"), (combo, "currentNodeChanged(vtkMRMLNode*)"),
                           (combo, "currentNodeChanged(bool)")):
        listener = Listener()
        gone.append(weakref.ref(listener))
        method = listener.heard
        sender.connect(signal, method)
        sender.disconnect(signal, method)
        del listener, method
    gc.collect()
    assert [reference() for reference in gone] == [None] * 3


def test_a_bound_method_is_held_by_its_connection():
    class Listener:
        def __init__(self):
            self.count = 0

        def heard(self, checked):
            counts.append(checked)

    counts, button = [], qt.QPushButton()
    button.connect("clicked(bool)", Listener().heard)
    button.click()
    assert counts == [False]


def test_slots_of_qt_can_be_connected():
    label, edit = qt.QLabel(), qt.QLineEdit()
    edit.connect("textChanged(QString)", label.setText)
    edit.text = "typed"
    assert label.text == "typed"
    widget, button = qt.QWidget(), qt.QPushButton()
    widget.show()
    button.clicked.connect(widget.hide)
    button.click()
    assert not widget.visible


def test_signals_of_python_classes():
    class Source(qt.QObject):
        said = qt.Signal(str)

    source, seen = Source(), []
    source.said.connect(seen.append)
    source.connect("said(QString)", lambda text: seen.append(text.upper()))
    source.said.emit("a")
    assert seen == ["a", "A"]


def test_an_error_in_a_slot_is_printed_and_does_not_stop_the_others(nothingGoesWrongUnseen):
    button, seen = qt.QPushButton(), []
    button.connect("clicked()", lambda: 1 / 0)
    button.connect("clicked()", lambda: seen.append(1))
    button.click()
    assert seen == [1] and "ZeroDivisionError" in nothingGoesWrongUnseen.texts.pop()


def test_errors_of_other_callbacks_are_seen_too(nothingGoesWrongUnseen, scene, app):
    class Source(qt.QObject):
        said = qt.Signal(str)

    def fail(*ignored):
        raise ValueError(f"failed {len(nothingGoesWrongUnseen.texts)}")

    source = Source()
    source.said.connect(fail)
    source.said.emit("a")
    tag = slicer.mrmlScene.AddObserver(slicer.mrmlScene.NodeAddedEvent, fail)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode")
    slicer.mrmlScene.RemoveObserver(tag)
    qt.QTimer.singleShot(0, fail)
    assert app.processUntil(lambda: len(nothingGoesWrongUnseen.texts) == 3)
    assert all(f"failed {number}" in text for number, text in enumerate(nothingGoesWrongUnseen.texts))
    nothingGoesWrongUnseen.texts.clear()


def test_an_error_in_an_override_does_not_end_the_process(nothingGoesWrongUnseen):
    class Widget(qt.QWidget):
        def paintEvent(self, event):
            event.no_such_method()

    widget = Widget()
    with contextlib.suppress(AttributeError):
        widget.grab()
    slicer.app.processEvents()
    nothingGoesWrongUnseen.texts.clear()


def test_enumerations_are_numbers():
    label = qt.QLabel()
    label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    assert label.alignment == 0x82
    label.alignment = 0x84
    assert int(label.alignment) == 0x84
    label.setTextFormat(1)
    assert label.textFormat == qt.Qt.RichText


def test_lists_are_tuples():
    model = qt.QStandardItemModel(2, 1)
    view = qt.QTableView()
    view.setModel(model)
    view.selectAll()
    assert isinstance(view.selectionModel().selectedRows(), tuple)
    assert isinstance(qt.QWidget().children(), tuple)


def test_single_shot_and_timers(app):
    seen = []
    qt.QTimer.singleShot(0, lambda: seen.append("once"))
    timer = qt.QTimer()
    timer.setInterval(2)
    timer.connect("timeout()", lambda: seen.append("tick"))
    timer.start()
    assert app.processUntil(lambda: "once" in seen and seen.count("tick") > 2)
    timer.stop()
    assert not timer.active


def test_a_process_is_written_to_and_read(app):
    process, finished = qt.QProcess(), []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: finished.append((code, int(status))))
    process.start(sys.executable, ["-c", "print(input().upper())"])
    process.write("text\n")
    assert app.processUntil(lambda: finished)
    assert finished == [(0, 0)] and process.readAllStandardOutput().data().strip() == b"TEXT"


def test_a_killed_process_says_so(app):
    process, finished = qt.QProcess(), []
    process.connect("finished(int,QProcess::ExitStatus)", lambda code, status: finished.append((code, int(status))))
    process.start(sys.executable, ["-c", "import time; time.sleep(60)"])
    process.waitForStarted()
    process.kill()
    assert app.processUntil(lambda: finished)
    assert finished == [(9, 1)]


def test_python_slicer_is_this_python():
    process = qt.QProcess()
    process.start(shutil.which("PythonSlicer"), ["-c", "import sys; print(sys.prefix)"])
    process.waitForFinished(60000)
    assert process.readAllStandardOutput().data().decode().strip() == sys.prefix


def test_settings_keep_types():
    settings = qt.QSettings()
    settings.setValue("a/list", ["x", "y"])
    settings.setValue("a/flag", True)
    assert settings.value("a/list") == ("x", "y") and settings.value("a/flag") is True
    assert qt.QSettings().value("a/none") is None
    assert slicer.util.settingsValue("a/flag", False, converter=slicer.util.toBool) is True
    assert slicer.app.settings().contains("a/flag")


def test_files():
    assert qt.QFile(__file__).exists() and not qt.QFile.exists(__file__ + ".no")


def test_models_in_python():
    class Rows(qt.QAbstractTableModel):
        def rowCount(self, parent=None):
            return 2

        def columnCount(self, parent=None):
            return 1

        def data(self, index, role=0):
            return f"row {index.row()}" if role == qt.Qt.DisplayRole else None

    proxy = qt.QSortFilterProxyModel()
    proxy.setSourceModel(Rows(proxy))
    view = qt.QTableView()
    view.setModel(proxy)
    assert proxy.rowCount() == 2 and view.model().index(1, 0).data() == "row 1"


def test_text_cursors_and_formats():
    edit = qt.QTextEdit()
    cursor = edit.textCursor()
    form = qt.QTextCharFormat()
    form.setProperty(0x100000 + 1, "s1")
    cursor.insertText("linked", form)
    cursor.setPosition(2)
    assert cursor.charFormat().property(0x100000 + 1) == "s1"
    selection = qt.QTextEdit.ExtraSelection()
    selection.cursor = cursor
    edit.setExtraSelections([selection])
    assert len(edit.extraSelections()) == 1


def test_text_is_drawn_with_a_font(output):
    """Without fonts Qt draws boxes or nothing: two words then look alike."""
    pictures = []
    for text in ("iiii", "WWWW"):
        label = qt.QLabel(text)
        label.resize(120, 30)
        pixmap = label.grab()
        pixmap.save(str(output / f"font_{text}.png"))
        image = pixmap.toImage()
        pictures.append(sum(qt.QColor(image.pixel(x, y)).lightness() < 100 for x in range(120) for y in range(30)))
    assert 20 < pictures[0] < pictures[1], "text is not drawn: apt install fonts-dejavu-core"


@pytest.mark.parametrize("name", ["exec_", "raise_", "show"])
def test_names_with_and_without_underscore(name):
    assert hasattr(qt.QDialog(), name) and hasattr(qt.QDialog(), name.rstrip("_"))
