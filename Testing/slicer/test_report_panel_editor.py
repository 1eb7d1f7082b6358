"""The editor of the report, through the real panel: typing, marks, undo, fields, flags, signing, find, font, speed."""

from __future__ import annotations

import time

import pytest
from panel_study import OpenPanel

AMBER = (255, 193, 7)


@pytest.fixture()
def panel(openModule, app, tmp_path):
    return OpenPanel(openModule, app, tmp_path)


def measured(panel, segment: str, value: float) -> None:
    """As if the mask had been edited and measured."""
    row = dict(panel.report.measurement(segment, "longest_diameter"), value=value)
    panel.editor.change(lambda report: report.apply_measurements([row]))


def weight_behind(panel, words: str) -> int:
    """Weight of the font of the last letter of these words."""
    end = panel.text.index(words) + len(words)
    return panel.editor.text.cursorOver(end, end).charFormat().fontWeight()


def test_shows_the_report_with_its_headings(panel):
    assert panel.text == panel.report.layout().text
    assert panel.text.startswith("Lungs\nA consolidation area")
    assert weight_behind(panel, "Lung") == weight_behind(panel, "Impress") > weight_behind(panel, "A consolidation")
    panel.put_cursor("A consolidation", before=True)
    panel.type("x")
    panel.put_cursor("Impression: Consolidation in the left lower lobe."[12:])
    panel.type("y")
    assert weight_behind(panel, "x") == weight_behind(panel, "y") == weight_behind(panel, "A consolidation")


def test_typing_reaches_the_sentence_at_its_offset(panel):
    name = panel.sentence("26 mm")
    panel.put_cursor("26 mm lesion")
    panel.type(" with a bright rim")
    assert panel.report.sentence(name).text == "There is a 26 mm lesion with a bright rim in the liver."
    assert panel.report.sentence(name).generated_text == "There is a 26 mm lesion in the liver."
    assert panel.report.sentence(name).edit == "edited"
    assert panel.text == panel.report.layout().text
    field = panel.report.sentence(name).fields[0]
    assert panel.report.sentence(name).text[field.start:field.end] == "26 mm"


def test_what_was_typed_is_in_a_scene_that_is_saved_at_once(panel, app, tmp_path):
    """Slicer tells nobody that it is about to save a scene."""
    import slicer

    told = []
    panel.study.changed.connect(told.append)
    panel.put_cursor("No pneumothorax", before=True)
    panel.type("Really ")
    assert "Really No" in panel.study.reportNode.GetText() and not told
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    assert app.processUntil(lambda: told)  # after a pause
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {"clear": True})
    study, = panel.logic.studies()
    assert "Really No pneumothorax" in study.report.to_text()


def test_headings_stay(panel, app):
    panel.put_cursor("Lun", before=False)
    panel.type("x")
    app.processEvents(0.1)
    assert panel.text.startswith("Lungs\n")
    assert panel.text == panel.report.layout().text
    panel.edit.selectAll()
    panel.edit.textCursor().removeSelectedText()
    app.processEvents(0.1)
    assert panel.text == panel.report.layout().text
    assert "Impression" in panel.text


def test_a_full_stop_makes_two_sentences(panel):
    before = len(panel.report.sentences)
    panel.put_cursor("No pneumothorax.")
    panel.type(" The pleura is thin.")
    assert len(panel.report.sentences) == before + 1
    assert panel.sentence("The pleura is thin.").startswith("u")


def test_characters_beyond_the_usual_ones(panel):
    panel.put_cursor("No pneumothorax", before=True)
    panel.type("\U0001fac1")
    panel.put_cursor("26 mm lesion")
    panel.type("*")
    assert panel.text == panel.report.layout().text
    assert "26 mm lesion* in the liver" in panel.report.sentence(panel.sentence("26 mm")).text


def test_undo_and_redo_by_keys(panel):
    import qt

    before = panel.text
    panel.put_cursor("no hiatal hernia")
    panel.type(" at all")
    after = panel.text
    panel.press(qt.Qt.Key_Z, "", qt.Qt.ControlModifier)
    assert panel.text == before == panel.report.layout().text
    panel.press(qt.Qt.Key_Y, "", qt.Qt.ControlModifier)
    assert panel.text == after
    panel.ui.undoButton.click()
    assert panel.text == before
    assert panel.ui.redoButton.enabled


def test_a_stale_field_is_amber_until_it_is_accepted(panel):
    name = panel.sentence("26 mm")
    assert panel.color_at("26 mm") != AMBER
    measured(panel, "liver_lesion_1", 21.4)
    assert panel.color_at("26 mm") == AMBER
    points = panel.editor.checks.points
    assert [point.text for point in points if point.kind == "value"] == ["26 mm → 21 mm"]
    assert "26 mm → 21 mm" in panel.editor.toolTipAt(panel.edit.cursorRect(
        panel.editor.text.cursorOver(panel.text.index("26 mm") + 1, panel.text.index("26 mm") + 1)).center())
    panel.ui.checksList.setCurrentRow(0)
    assert panel.ui.acceptButton.text == "Change to 21 mm"
    panel.ui.acceptButton.click()
    assert panel.report.sentence(name).text == "There is a 21 mm lesion in the liver."
    assert panel.text == panel.report.layout().text
    assert panel.color_at("21 mm") != AMBER
    assert [point for point in panel.editor.checks.points if point.kind == "value"] == []


def test_a_stale_field_can_be_dismissed(panel):
    measured(panel, "liver_lesion_1", 21.4)
    panel.ui.checksList.setCurrentRow(0)
    panel.ui.dismissButton.click()
    assert "26 mm" in panel.text
    assert panel.color_at("26 mm") != AMBER


def test_a_contradiction_is_underlined_with_its_reason_and_a_fix(panel, app):
    name = panel.sentence("A consolidation")
    panel.put_cursor("in the left", before=False)
    for _ in "left":
        panel.press(0x01000003, "")  # Backspace
    panel.type("right")
    assert app.processUntil(lambda: any("right" in text for text in panel.underlined()))
    assert app.processUntil(lambda: any(point.sentence == name for point in panel.editor.checks.points))
    point = next(point for point in panel.editor.checks.points if point.sentence == name)
    assert "right" in point.text and "left" in point.text
    row = panel.editor.checks.points.index(point)
    app.processEvents(0.1)
    lines = [panel.ui.checksList.visualItemRect(panel.ui.checksList.item(number)) for number in range(
        len(panel.editor.checks.points))]
    assert panel.ui.checksList.height > sum(line.height() for line in lines)  # all of it can be read
    panel.ui.checksList.setCurrentRow(row)
    panel.ui.acceptButton.click()
    assert "in the left lower lobe" in panel.report.sentence(name).text
    assert panel.report.sentence(name).flags in ([], ())
    assert not any("right" in text for text in panel.underlined())


def test_context_menu_offers_what_is_wrong_there(panel, app):
    measured(panel, "liver_lesion_1", 21.4)
    start = panel.text.index("26 mm") + 1
    point = panel.edit.cursorRect(panel.editor.text.cursorOver(start, start)).center()
    panel.editor.fillContextMenu(point)
    texts = [action.text for action in panel.editor.contextMenu.actions()]
    assert texts[0] == "26 mm → 21 mm: Change to 21 mm"
    assert {"Cut", "Copy", "Paste", "Select all"} <= set(texts)
    panel.editor.contextMenu.actions()[0].trigger()
    assert "21 mm" in panel.text


def test_insert_menu(panel, app):
    panel.editor.insertMenu.fill()
    titles = [action.text for action in panel.editor.menu.actions()]
    assert titles == ["Finding", "Normal sentence", "Measurement"]
    panel.editor.insertMenu.insertFinding("Kidney lesion")
    assert "kidney" in panel.text.lower().split("abdomen")[1]
    texts = panel.report.normal_sentences("pleura")
    before = len(panel.report.sentences)
    panel.editor.insertMenu.insertNormal("pleura", texts[0])
    assert len(panel.report.sentences) == before + 1
    panel.put_cursor("lesion in the liver")
    panel.editor.insertMenu.insertMeasurement("liver_lesion_1", "volume")
    volume = panel.report.measurement("liver_lesion_1", "volume")["value"]
    sentence = panel.report.sentence(panel.sentence("26 mm"))
    assert {"longest_diameter", "volume"} <= {field.quantity for field in sentence.fields}
    assert f"{volume:.0f}" in sentence.text or f"{volume:.1f}" in sentence.text
    assert panel.text == panel.report.layout().text


def test_find_bar(panel):
    panel.ui.findButton.click()
    panel.ui.findText.text = "consolidation"
    assert panel.ui.findCount.text == "1/2"
    panel.ui.findNextButton.click()
    panel.ui.findNextButton.click()
    assert panel.ui.findCount.text == "2/2"
    assert panel.editor.text.position() == panel.text.rindex("Consolidation")
    panel.ui.findText.text = "nowhere"
    assert panel.ui.findCount.text == "not found"
    panel.ui.findButton.click()
    assert panel.color_at("consolidation") is None or panel.editor.marks.found == []


def test_the_find_key_is_the_reports_in_the_report_and_slicers_elsewhere(panel, app):
    """As Qt hears keys, with an action of the main window like Slicer's Module Finder."""
    import qt
    import slicer
    from PySide6 import QtTest

    window, found = slicer.util.mainWindow(), []
    action = qt.QAction("Module Finder", window)
    action.setShortcut(qt.QKeySequence("Ctrl+F"))
    action.connect("triggered()", lambda: found.append(True))
    window.addAction(action)
    context = action.shortcutContext
    assert panel.edit.window() == window
    window.show()
    window.activateWindow()
    assert app.processUntil(lambda: window.isActiveWindow)

    def press(widget):
        widget.setFocus()
        assert app.processUntil(lambda: widget.hasFocus())
        QtTest.QTest.keyClick(widget, qt.Qt.Key_F, qt.Qt.ControlModifier)
        app.processEvents()

    press(panel.ui.findingsFilter)
    assert found == [True] and not panel.ui.findBar.isVisible()
    press(panel.edit)
    assert panel.ui.findBar.isVisible() and panel.ui.findText.hasFocus()
    press(panel.ui.findText)  # once more: the words are selected
    assert panel.ui.findBar.isVisible() and found == [True]
    press(panel.ui.findingsFilter)
    assert found == [True, True] and action.shortcutContext == context
    press(panel.edit)
    panel.editor.cleanup()
    assert action.shortcutContext == context
    action.deleteLater()


def test_font_size_is_remembered(panel):
    from UVLMShared import Settings

    before = panel.editor.fontSize()
    panel.ui.largerButton.click()
    panel.ui.largerButton.click()
    assert panel.editor.fontSize() == before + 2
    assert Settings.value("fontSize", 0) == before + 2
    from UVLMReportLib.ReportEditor import ReportEditor

    again = ReportEditor(panel.ui)  # as after a restart
    assert again.fontSize() == before + 2
    again.cleanup()
    panel.editor.setFontSize(before)


def test_changes_are_compared_word_by_word(panel):
    panel.put_cursor("26 mm lesion")
    panel.type(" with a rim")
    panel.editor.flush()
    panel.ui.changesButton.click()
    html = panel.ui.changesView.html
    plain = panel.ui.changesView.plainText
    assert "There is a 26 mm lesion with a rim in the liver." in plain
    assert "#1b7f3b" in html and "with a rim" in html.split("#1b7f3b")[1][:80]
    panel.ui.changesButton.click()
    assert panel.ui.reportPages.currentIndex == 0


def test_titles_of_changes_are_translated_once(panel, monkeypatch):
    from UVLMReportLib import ChangesView

    asked = []
    monkeypatch.setattr(ChangesView, "_", lambda text: asked.append(text) or text)
    for number in range(20):
        panel.report.edit_sentence(panel.sentence("26 mm"), f"There is a 26 mm lesion in the liver, number {number}.")
    assert ChangesView.changesHtml(panel.report).count("Sentence edited") == 20
    assert asked.count("Sentence edited") == 1


def test_children_that_slicer_does_not_know_are_left_alone(panel, monkeypatch):
    """Slicer's Python gives None for some children of the main window."""
    from types import SimpleNamespace

    import slicer

    monkeypatch.setattr(slicer.util, "mainWindow", lambda: SimpleNamespace(children=lambda: [None]))
    panel.editor.findBar.key._narrow()


def test_sign_lists_what_is_open_then_only_an_addendum_can_be_written(panel, app):
    measured(panel, "liver_lesion_1", 21.4)
    panel.ui.signButton.click()
    dialog = panel.editor.signing.dialog
    assert dialog.window.visible
    assert any("26 mm" in dialog.list.item(row).text() for row in range(dialog.list.count))
    dialog.name.text = ""
    assert not dialog.button.enabled
    dialog.name.text = "Dr. Grün"
    dialog.button.click()
    assert panel.report.state == "signed"
    assert "Dr. Grün" in panel.ui.reportState.text
    assert panel.edit.readOnly
    assert not panel.ui.acceptButton.enabled
    signed = panel.text
    panel.type("x")
    assert panel.text == signed
    panel.ui.addendumButton.click()
    assert panel.report.state == "addendum"
    assert not panel.edit.readOnly
    panel.put_cursor("26 mm lesion")
    panel.type("x")
    app.processEvents(0.1)
    assert "26 mm lesion in" in panel.text  # signed text cannot change
    panel.editor.text.putCursor(len(panel.text))
    panel.type("Seen again.")
    app.processEvents(0.1)
    assert panel.text.endswith("Seen again.")
    assert panel.text == panel.report.layout().text
    panel.editor.signing.sign("Dr. Grün")
    assert panel.report.state == "addendum" and panel.report.addenda[-1].signature is not None


def test_cursor_in_a_sentence_moves_the_slices_and_dims_the_rest(panel, app):
    import slicer

    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    for words, segment in (("26 mm", "liver_lesion_1"), ("A consolidation", "consolidation_1")):
        panel.put_cursor(words)
        app.processEvents(0.3)
        centre = panel.logic.centreRas(panel.study, segment)
        assert red.GetSliceOffset() == pytest.approx(centre[2], abs=panel.volume.GetSpacing()[2])
        display = panel.study.segmentationNode.GetDisplayNode()
        assert display.GetSegmentOpacity3D(segment) == 1.0
        assert display.GetSegmentOpacity3D("spleen") < 0.1
    panel.editor.goTo(panel.sentence("26 mm"))  # as a click in the list To check does
    assert display.GetSegmentOpacity3D("liver_lesion_1") == 1.0 > display.GetSegmentOpacity3D("consolidation_1")
    panel.put_cursor("no hiatal hernia")  # no mask: all bright again
    app.processEvents(0.3)
    assert display.GetSegmentOpacity3D("spleen") == 0.25


def test_two_volumes_keep_two_reports(panel, app):
    import slicer

    panel.put_cursor("No pneumothorax", before=True)
    panel.type("Here ")
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, panel.volume, "Other")
    panel.ui.volumeSelector.setCurrentNode(other)
    assert panel.text == ""
    assert panel.panel.findings.visibleNames() == []
    panel.ui.volumeSelector.setCurrentNode(panel.volume)
    assert "Here No pneumothorax" in panel.text
    assert "Here No" in panel.study.reportNode.GetText()


def test_closing_the_scene_empties_the_panel(panel, app):
    import slicer

    panel.put_cursor("No pneumothorax", before=True)
    panel.type("Here ")
    slicer.mrmlScene.Clear(0)
    app.processEvents(1.0)
    assert panel.text == ""
    assert panel.panel.study is None
    assert not panel.ui.generateButton.enabled


def test_three_hundred_sentences_stay_fluent(openModule, app, tmp_path):
    """CPU time of this process, because other programs may use the machine too."""
    sections = []
    for title, place in (("Lungs", "lung"), ("Pleura", "pleura"), ("Heart and vessels", "heart"), ("Bones", "spine"),
                         ("Mediastinum", "mediastinum"), ("Upper abdomen", "liver")):
        words = [f"There is no finding number {number} in this place of the {place}." for number in range(50)]
        sections.append(f"{title}: {' '.join(words)}")
    panel = OpenPanel(openModule, app, tmp_path, "\n".join(sections) + "\nImpression: Consolidation on the left.")
    assert len(panel.report.sentences) >= 300
    panel.put_cursor("finding number 25 in this place of the heart")
    times = []
    for letter in " which is of no importance for the moment":
        start = time.process_time()
        panel.type(letter)
        app.app.processEvents()
        times.append(time.process_time() - start)
    start = time.process_time()
    panel.editor.flush()
    saving = time.process_time() - start
    print(f"300 sentences: {1000 * sum(times) / len(times):.1f} ms a key, at most {1000 * max(times):.1f} ms; "
          f"saving {1000 * saving:.1f} ms")
    assert sum(times) / len(times) < 0.05
    assert saving < 0.1
    assert panel.text == panel.report.layout().text
