"""What is signed is what was asked about: not another report, not sizes of masks that have changed since."""

from __future__ import annotations

import pytest
from panel_study import OpenPanel


@pytest.fixture()
def panel(openModule, app, tmp_path):
    return OpenPanel(openModule, app, tmp_path)


def open_dialog(panel):
    panel.ui.signButton.click()
    dialog = panel.editor.signing.dialog
    assert dialog.window.visible
    dialog.name.text = "Dr. Grün"
    return dialog, lambda: [dialog.list.item(row).text() for row in range(dialog.list.count)]


def test_the_dialog_closes_when_another_report_is_shown(panel, app):
    """A run on the same volume may end while somebody is about to sign the report before."""
    dialog, _messages = open_dialog(panel)
    old = panel.study
    old.report.edit_sentence(old.report.sentences[0].id, "Mine.")  # so that the new study does not replace it
    new = panel._addStudy(panel.folder / "study")
    assert panel.panel.study is new is not old
    assert not dialog.window.visible
    assert old.report.state == new.report.state == "draft"


def test_the_dialog_lists_masks_that_are_not_measured_yet(panel, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    eraseHalf(panel.study.segmentationNode, "liver_lesion_1")
    dialog, messages = open_dialog(panel)
    assert app.processUntil(lambda: any("not measured yet" in text and "Liver lesion" in text for text in messages()))
    assert app.processUntil(lambda: not panel.logic.masksPending(panel.study), 120)
    assert app.processUntil(lambda: any("26 mm" in text for text in messages()))  # now it is known what it measures
    assert not any("not measured yet" in text for text in messages())
    dialog.button.click()
    assert panel.report.state == "signed"


def test_a_mask_that_was_not_measured_is_kept_with_the_signature(panel, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    eraseHalf(panel.study.segmentationNode, "liver_lesion_1")
    dialog, _messages = open_dialog(panel)
    dialog.button.click()  # at once: nobody has looked at the mask yet
    assert "unmeasured" in [point.kind for point in panel.report.signature.open_points]


def test_an_edit_that_nobody_has_looked_at_yet_is_said_too(panel, app):
    from UVLMReportLib.JourneyScene import eraseHalf

    dialog, messages = open_dialog(panel)
    assert not any("sizes in the text" in text for text in messages())
    eraseHalf(panel.study.segmentationNode, "liver_lesion_1")
    assert any("being looked at" in text for text in messages())  # at once
    assert app.processUntil(lambda: any("Liver lesion" in text for text in messages()))
    dialog.close()


def test_an_addendum_can_be_discarded(panel, app):
    import qt
    from harness.dialogs import DIALOGS

    panel.editor.change(lambda report: report.sign("Dr. Grün"))
    signed = panel.text
    panel.ui.addendumButton.click()
    assert panel.report.state == "addendum" and "Discard" in panel.ui.addendumButton.text
    panel.ui.addendumButton.click()  # nothing stands in it: nothing is asked
    assert panel.report.state == "signed" and panel.text == signed
    panel.ui.addendumButton.click()
    panel.editor.text.putCursor(len(panel.text))
    panel.type("Seen again.")
    app.processEvents(0.1)
    DIALOGS.answer(qt.QMessageBox.Ok)
    panel.ui.addendumButton.click()
    assert any("Discard" in text for text in DIALOGS.texts)
    DIALOGS.clear()
    assert panel.report.state == "signed" and panel.text == signed
