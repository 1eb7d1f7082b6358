"""The table of findings, through the real panel: what it shows, sorting, filtering, overruling, leading to masks."""

from __future__ import annotations

import pytest
from panel_study import OpenPanel


@pytest.fixture()
def panel(openModule, app, tmp_path):
    return OpenPanel(openModule, app, tmp_path)


def cell(panel, name: str, column: int) -> str:
    table = panel.panel.findings
    row = table.visibleNames().index(name)
    return table.proxy.index(row, column).data()


def test_shows_what_the_study_found(panel):
    from UVLMReportLib.FindingsTable import PROBABILITY, SIDE, SIZE, STATE

    assert len(panel.panel.findings.visibleNames()) == 21
    assert cell(panel, "Consolidation", STATE) == "present"
    assert cell(panel, "Consolidation", SIDE) == "left"
    assert cell(panel, "Liver lesion", SIZE) == "26 mm"
    assert cell(panel, "Liver lesion", PROBABILITY) == "0.91"
    assert cell(panel, "Lung opacity", STATE) == "uncertain"
    assert cell(panel, "Bronchiectasis", STATE) == "not assessed"


def test_sorts_by_numbers(panel):
    import qt
    from UVLMReportLib.FindingsTable import FINDING, PROBABILITY, SIZE

    table = panel.ui.findingsTable
    table.sortByColumn(PROBABILITY, qt.Qt.DescendingOrder)
    assert set(panel.panel.findings.visibleNames()[:6]) == {
        "Consolidation", "Pericardial effusion", "Arterial wall calcification", "Cardiomegaly",
        "Coronary artery wall calcification", "Liver lesion"}
    assert panel.panel.findings.visibleNames()[6] == "Lung opacity"
    table.sortByColumn(SIZE, qt.Qt.DescendingOrder)
    order = panel.panel.findings.visibleNames()
    assert order.index("Consolidation") < order.index("Liver lesion")  # the larger one first
    table.sortByColumn(FINDING, qt.Qt.AscendingOrder)
    assert panel.panel.findings.visibleNames()[0] == "Arterial wall calcification"


@pytest.mark.parametrize(("words", "expected"), [
    ("lesion", {"Liver lesion", "Kidney lesion", "Pancreas lesion"}),
    ("LIVER", {"Liver lesion"}),
    ("lesion absent", {"Kidney lesion", "Pancreas lesion"}),
    ("absent lesion", {"Kidney lesion", "Pancreas lesion"}),
    ("[", set()),
    ("leaves it open (probability", {"Lung opacity"}),
])
def test_filters_by_words(panel, words, expected):
    panel.ui.findingsFilter.text = words
    assert set(panel.panel.findings.visibleNames()) == expected


def test_only_present_keeps_the_uncertain_and_the_words(panel):
    panel.ui.onlyPresentCheckBox.checked = True
    assert "Lung opacity" in panel.panel.findings.visibleNames()
    assert "Kidney lesion" not in panel.panel.findings.visibleNames()
    panel.ui.findingsFilter.text = "lesion"
    assert panel.panel.findings.visibleNames() == ["Liver lesion"]


def test_overruling_changes_report_table_and_row(panel, app):
    from UVLMReportLib.FindingsTable import STATE

    panel.panel.findings.showStateMenu("Kidney lesion", panel.ui.findingsTable.rect.center())
    action = next(one for one in panel.panel.findings.stateMenu.actions() if one.text == "present")
    action.trigger()
    row = next(row for row in panel.report.findings if row["name"] == "Kidney lesion")
    assert (row["state"], row["by"], row["generated_state"]) == ("present", "user", "absent")
    assert cell(panel, "Kidney lesion", STATE).startswith("present")
    assert panel.panel.findings.row("Kidney lesion")["overruled"]
    panel.panel.findings.overrule("Kidney lesion", None)
    assert cell(panel, "Kidney lesion", STATE) == "absent"
    panel.panel.findings.stateMenu.close()


def test_click_leads_to_the_mask_and_lights_the_sentences(panel, app):
    import slicer
    from UVLMReportLib.SegmentationNodes import segmentsAt

    panel.panel.findings.select("Liver lesion")
    panel.panel.findings._onClicked(panel.ui.findingsTable.currentIndex())
    red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
    centre = panel.logic.centreRas(panel.study, "liver_lesion_1")
    assert red.GetSliceOffset() == pytest.approx(centre[2], abs=panel.volume.GetSpacing()[2])
    assert segmentsAt(panel.study.segmentationNode, centre) == ["liver_lesion_1"]
    display = panel.study.segmentationNode.GetDisplayNode()
    assert display.GetSegmentOpacity3D("liver_lesion_1") > 5 * display.GetSegmentOpacity3D("liver")
    assert panel.panel.editor.marks.linked == [panel.sentence("26 mm"), panel.sentence("Liver lesion.")]
    assert panel.panel.masks.selected() == ["liver_lesion_1"]


def test_double_click_beside_the_state_edits_the_mask(panel, app):
    import slicer
    from UVLMReportLib.FindingsTable import FINDING

    panel.panel.findings.select("Liver lesion")
    index = panel.ui.findingsTable.currentIndex()
    assert index.column() == FINDING
    panel.panel.findings._onDoubleClicked(index)
    assert slicer.util.selectedModule() == "SegmentEditor"
    editor = slicer.util.getModuleWidget("SegmentEditor").editor
    assert editor.segmentationNode() is panel.study.segmentationNode
    assert editor.sourceVolumeNode() is panel.volume
    assert editor.currentSegmentID() == "liver_lesion_1"


def test_flags_are_counted(panel, app):
    from UVLMReportLib.FindingsTable import FLAGS

    panel.editor.change(lambda report: report.edit_sentence(panel.sentence("A consolidation"),
                                                            "Consolidation in the right lower lobe."))
    flags = panel.panel.findings.row("Consolidation")["flags"]
    assert cell(panel, "Consolidation", FLAGS) == str(len(flags))
    assert any("right" in flag and "left" in flag for flag in flags)
    panel.editor.undo()
    assert cell(panel, "Consolidation", FLAGS) == ""
