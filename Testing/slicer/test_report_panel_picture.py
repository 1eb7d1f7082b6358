"""The panel as a picture: nothing is cut off at Slicer's usual width, and the colours are those that were meant.

The pictures are in Testing/output for a look.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from panel_study import OpenPanel

OUTPUT = Path(__file__).resolve().parents[1] / "output"
PANEL_WIDTH = 450
AMBER, ABOVE = (255, 193, 7), (208, 122, 20)


@pytest.fixture()
def panel(openModule, app, tmp_path):
    panel = OpenPanel(openModule, app, tmp_path)
    row = dict(panel.report.measurement("liver_lesion_1", "longest_diameter"), value=21.4)
    panel.editor.change(lambda report: report.apply_measurements([row]))
    panel.editor.change(lambda report: report.edit_sentence(panel.sentence("A consolidation"),
                                                            "A consolidation in the right lower lobe."))
    whole = panel.ui.inputsButton.parent()
    whole.setMaximumWidth(PANEL_WIDTH)
    whole.window().resize(900, 2000)  # Slicer scrolls instead
    app.processEvents(0.3)
    assert whole.width <= PANEL_WIDTH
    return panel


def save(widget, name: str):
    """The picture of a widget, also in the output folder."""
    OUTPUT.mkdir(exist_ok=True)
    picture = widget.grab()
    assert picture.save(str(OUTPUT / name))
    return picture.toImage()


def colors(picture) -> set[tuple[int, int, int]]:
    """All colours of a picture."""
    pixels = (picture.pixelColor(x, y) for x in range(picture.width()) for y in range(picture.height()))
    return {(color.red(), color.green(), color.blue()) for color in pixels}


def test_no_text_is_cut_off(panel):
    names = [name for name in vars(panel.ui) if name.endswith(("Button", "CheckBox"))]
    narrow = []
    for name in names:
        widget = getattr(panel.ui, name)
        needed = widget.fontMetrics().horizontalAdvance(widget.text)
        if widget.visible and widget.width < needed + 6:
            narrow.append((widget.text, widget.width, needed))
    assert len(names) > 20
    assert narrow == []
    save(panel.ui.inputsButton.parent(), "report_panel.png")


def test_lines_below_each_other_do_not_overlap_nor_waste_room(panel, app):
    order = [panel.ui.reportEdit, panel.ui.checksTitle, panel.ui.checksList, panel.ui.acceptButton]

    def gaps() -> list[int]:
        tops = [widget.mapTo(panel.ui.editorPage, widget.rect.topLeft()).y() for widget in order]
        return [below - top - widget.height for widget, top, below in zip(order[:-1], tops, tops[1:], strict=False)]

    assert app.processUntil(lambda: all(0 <= gap < 12 for gap in gaps())), gaps()


def test_an_old_measurement_is_amber_and_a_bar_above_its_threshold_orange(panel, app):
    panel.put_cursor("26 mm")
    assert AMBER in colors(save(panel.ui.reportEdit.viewport(), "report_text.png"))
    panel.panel.findings.ui.onlyPresentCheckBox.checked = True
    panel.ui.findingsTable.clearSelection()
    app.processEvents(0.1)
    assert ABOVE in colors(save(panel.ui.findingsTable.viewport(), "report_findings.png"))
    panel.ui.findingsFilter.text = "opacity"  # 0.52: uncertain, yet above its threshold
    app.processEvents(0.1)
    assert ABOVE in colors(save(panel.ui.findingsTable.viewport(), "report_uncertain.png"))
    panel.ui.findingsFilter.text = ""
    panel.ui.onlyPresentCheckBox.checked = False
    panel.ui.findingsFilter.text = "absent"
    app.processEvents(0.1)
    assert ABOVE not in colors(save(panel.ui.findingsTable.viewport(), "report_absent.png"))
