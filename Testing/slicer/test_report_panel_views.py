"""Pictures and text: clicks in masks, heat maps, the table of masks; through the real panel and the slice views."""

from __future__ import annotations

import numpy as np
import pytest
from panel_study import OpenPanel, looked_at


@pytest.fixture()
def panel(openModule, app, tmp_path):
    return OpenPanel(openModule, app, tmp_path)


def click(panel, ras, view: str = "Red", drag: int = 0) -> None:
    """Clicks at a world point of a slice view that shows it."""
    import slicer

    widget = slicer.app.layoutManager().sliceWidget(view)
    widget.mrmlSliceNode().JumpSliceByOffsetting(*ras)
    slice_view = widget.sliceView()
    x, y = slice_view.convertRASToXYZ(list(ras))[:2] if hasattr(slice_view, "convertRASToXYZ") else (0, 0)
    interactor = slice_view.interactor()
    interactor.SetEventPosition(round(x), round(y))
    interactor.InvokeEvent("LeftButtonPressEvent")
    interactor.SetEventPosition(round(x) + drag, round(y))
    interactor.InvokeEvent("LeftButtonReleaseEvent")


@pytest.mark.parametrize("view", ["Red", "Green", "Yellow"])
def test_click_in_a_mask_lights_its_sentences(panel, view):
    centre = panel.logic.centreRas(panel.study, "liver_lesion_1")
    click(panel, centre, view)
    assert panel.editor.marks.linked == [panel.sentence("36 mm"), panel.sentence("Liver lesion.")]
    assert panel.editor.sentenceAtCursor() == panel.sentence("36 mm")
    assert panel.panel.masks.selected() == ["liver_lesion_1"]


def test_a_drag_is_no_click(panel):
    click(panel, panel.logic.centreRas(panel.study, "liver_lesion_1"), drag=40)
    assert panel.editor.marks.linked == []


def test_a_click_beside_all_masks_darkens_the_sentences(panel):
    click(panel, panel.logic.centreRas(panel.study, "liver_lesion_1"))
    panel.panel.links.showMasks(["liver_lesion_1"])
    low = [0.0] * 6
    panel.volume.GetRASBounds(low)
    click(panel, [low[0] + 3, low[2] + 3, panel.logic.centreRas(panel.study, "liver_lesion_1")[2]])
    assert panel.editor.marks.linked == []
    assert panel.study.segmentationNode.GetDisplayNode().GetSegmentOpacity3D("spleen") == 1.0


def test_a_click_finds_the_mask_under_a_transform(panel):
    import slicer
    import vtk

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, 60.0)
    transform.SetMatrixTransformToParent(matrix)
    before = panel.logic.centreRas(panel.study, "liver_lesion_1")
    for node in (panel.volume, panel.study.segmentationNode):
        node.SetAndObserveTransformNodeID(transform.GetID())
    after = panel.logic.centreRas(panel.study, "liver_lesion_1")
    assert np.subtract(after, before) == pytest.approx([60, 0, 0])
    click(panel, after)
    assert panel.panel.masks.selected() == ["liver_lesion_1"]


def test_hidden_masks_are_not_clicked(panel):
    panel.study.segmentationNode.GetDisplayNode().SetSegmentVisibility("liver_lesion_1", False)
    click(panel, panel.logic.centreRas(panel.study, "liver_lesion_1"))
    assert panel.panel.masks.selected() != ["liver_lesion_1"]


def test_leaving_the_module_brightens_all_masks(panel):
    import slicer

    click(panel, panel.logic.centreRas(panel.study, "liver_lesion_1"))
    panel.panel.links.showMasks(["liver_lesion_1"])
    display = panel.study.segmentationNode.GetDisplayNode()
    assert display.GetSegmentOpacity3D("spleen") < 0.3
    slicer.util.selectModule("SegmentEditor")
    assert display.GetSegmentOpacity3D("spleen") == 1.0


def test_heat_map_follows_sentence_and_stage(panel, app):
    import slicer

    overlay = panel.panel.attribution
    assert overlay.node is None  # off by default
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    before = composite.GetForegroundVolumeID()
    panel.put_cursor("36 mm")
    panel.ui.attributionCheckBox.checked = True
    assert panel.ui.attributionStage.itemText(0) == "all stages"
    panel.ui.attributionStage.setCurrentIndex(1)
    number = panel.study.attribution()["sentence_ids"].index(panel.sentence("36 mm"))
    values = slicer.util.arrayFromVolume(overlay.node)
    assert np.flatnonzero(values).tolist() == [looked_at(number)]
    assert values.max() == 100
    assert composite.GetForegroundVolumeID() == overlay.node.GetID()
    assert not overlay.node.GetSaveWithScene()
    panel.put_cursor("A consolidation")
    app.processUntil(lambda: np.flatnonzero(slicer.util.arrayFromVolume(overlay.node)).tolist() == [looked_at(0)], 3)
    panel.ui.attributionStage.setCurrentIndex(2)
    assert overlay.node is None  # a stage that looked everywhere alike shows nothing
    panel.ui.attributionStage.setCurrentIndex(0)
    assert overlay.node is not None
    panel.ui.attributionCheckBox.checked = False
    assert overlay.node is None
    assert composite.GetForegroundVolumeID() == before


class Counted:
    def __init__(self, function):
        self.function, self.count = function, 0

    def __call__(self, *arguments):
        self.count += 1
        return self.function(*arguments)


def test_surfaces_are_made_one_after_the_other_and_are_slicers(monkeypatch, panel, app):
    import vtk
    from UVLMReportLib import Surfaces
    from UVLMReportLib.Surfaces import CLOSED_SURFACE, haveSurfaces

    node = panel.study.segmentationNode
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    panel.ui.show3DCheckBox.checked = True
    assert not haveSurfaces(segmentation)  # the window goes on
    panel.ui.show3DCheckBox.checked = False  # stops it
    app.processEvents(0.3)
    assert not haveSurfaces(segmentation) and not display.GetVisibility3D()
    made = Counted(Surfaces._surface)
    monkeypatch.setattr(Surfaces, "_surface", made)
    panel.ui.show3DCheckBox.checked = True
    assert app.processUntil(lambda: haveSurfaces(segmentation), 60)
    assert display.GetVisibility3D()
    assert made.count == segmentation.GetNumberOfSegments()  # Slicer made none of them by itself
    names = ["liver", "liver_lesion_1", "spine"]
    own = {name: vtk.vtkPolyData() for name in names}
    for name in names:
        own[name].DeepCopy(segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE))
    segmentation.RemoveRepresentation(CLOSED_SURFACE)
    node.CreateClosedSurfaceRepresentation()
    for name in names:
        whole = segmentation.GetSegment(name).GetRepresentation(CLOSED_SURFACE)
        assert own[name].GetNumberOfPoints() == whole.GetNumberOfPoints() > 100
        np.testing.assert_allclose(own[name].GetBounds(), whole.GetBounds(), atol=1e-3)


def test_the_surface_of_a_large_mask_is_coarser_and_in_its_place(monkeypatch, panel, app):
    from UVLMReportLib import Surfaces
    from UVLMReportLib.JourneyScene import drained

    monkeypatch.setattr(Surfaces, "COARSE_MM", (10.0,))  # the phantom's voxels are larger than a scan's
    segmentation = panel.study.segmentationNode.GetSegmentation()
    points, bounds = [], []
    for most in (Surfaces.FINE_VOXELS, 1000):
        monkeypatch.setattr(Surfaces, "FINE_VOXELS", most)
        segmentation.RemoveRepresentation(Surfaces.CLOSED_SURFACE)
        drained(Surfaces.makingSurfaces(panel.study.segmentationNode))
        surface = segmentation.GetSegment("liver").GetRepresentation(Surfaces.CLOSED_SURFACE)
        points.append(surface.GetNumberOfPoints())
        bounds.append(surface.GetBounds())
    assert points[1] < 0.9 * points[0]
    np.testing.assert_allclose(bounds[1], bounds[0], atol=10)


@pytest.mark.parametrize(("shape", "spacing", "steps"), [
    ((40, 40, 40), (0.7, 0.7, 0.7), [1, 1, 1]), ((300, 400, 400), (1.0, 0.7, 0.7), [4, 5, 5]),
    ((60, 400, 400), (5.0, 0.7, 0.7), [1, 5, 5]), ((600, 600, 600), (0.5, 0.5, 0.5), [8, 8, 8])])
def test_slices_that_are_far_apart_are_all_looked_at(shape, spacing, steps):
    from UVLMReportLib.Surfaces import everyNth

    assert everyNth(shape, spacing) == steps


def test_isolate_shows_only_the_chosen_masks(panel):
    masks, display = panel.panel.masks, panel.study.segmentationNode.GetDisplayNode()
    display.SetSegmentVisibility("spleen", False)
    masks.select(["liver_lesion_1"])
    panel.ui.isolateButton.checked = True
    assert display.GetSegmentVisibility("liver_lesion_1")
    assert not display.GetSegmentVisibility("liver")
    panel.ui.isolateButton.checked = False
    assert display.GetSegmentVisibility("liver")
    assert not display.GetSegmentVisibility("spleen")  # as it was
    panel.ui.showAllButton.click()
    assert display.GetSegmentVisibility("spleen")


def test_masks_can_be_filtered(panel):
    assert panel.ui.segmentsTable.filterBarVisible


def test_opacity_of_all_masks(panel):
    panel.ui.opacitySlider.value = 0.2
    assert panel.study.segmentationNode.GetDisplayNode().GetOpacity() == pytest.approx(0.2)


def test_a_new_mask_from_the_menu_is_not_asked_about(panel, app):
    name = panel.panel.masks.addMask("Lung nodule")
    segment = panel.study.segmentationNode.GetSegmentation().GetSegment(name)
    assert name == "lung_nodule_1"
    assert segment.GetName().startswith("Lung nodule")
    app.processEvents(0.6)
    assert panel.panel.masks.question is None
    assert panel.study.assigned.get(name) == "Lung nodule"


def test_a_mask_drawn_elsewhere_is_asked_about(panel, app):
    from UVLMReportLib.JourneyScene import drawBall

    drawBall(panel.study.segmentationNode, panel.volume, "mine", [30, 40, 40], 4)
    assert app.processUntil(lambda: panel.panel.masks.question is not None, 10)
    question = panel.panel.masks.question
    assert question.window.visible
    question.noneButton.click()
    assert not question.window.visible
    assert list(panel.study.assigned.values()) == [""]


def test_an_organ_that_was_missed_can_be_drawn(panel, app):
    from UVLMReportLib.JourneyScene import drawBall
    from UVLMReportLib.SegmentationNodes import TAG_LABEL, tagOf

    segmentation = panel.study.segmentationNode.GetSegmentation()
    for name in ("pancreas", "stomach"):
        segmentation.RemoveSegment(name)
    before = segmentation.GetNumberOfSegments()
    assert panel.panel.masks.addOrgan("liver") == "liver"  # it has a mask: that one is edited
    assert segmentation.GetNumberOfSegments() == before
    assert panel.panel.masks.addOrgan("pancreas") == "pancreas"
    assert segmentation.GetSegment("pancreas").GetName() == "Pancreas"
    mine = drawBall(panel.study.segmentationNode, panel.volume, "mine", [30, 40, 40], 4)
    assert app.processUntil(lambda: panel.panel.masks.question is not None, 10)
    question = panel.panel.masks.question
    offered = [question.selector.itemText(number) for number in range(question.selector.count)]
    assert "Stomach  (organ)" in offered and "Liver  (organ)" not in offered and "Pancreas  (organ)" not in offered
    question.selector.currentIndex = offered.index("Stomach  (organ)")
    question.button.click()
    assert tagOf(segmentation.GetSegment(mine), TAG_LABEL) == "stomach"
    assert panel.study.assigned == {"pancreas": "", mine: ""}


def test_a_removed_mask_flags_its_sentences(panel, app):
    name = panel.sentence("36 mm")
    panel.study.segmentationNode.GetSegmentation().RemoveSegment("liver_lesion_1")
    assert app.processUntil(lambda: panel.report.sentence(name).flags, 5)
    assert any(point.sentence == name for point in panel.editor.checks.points)
    assert panel.underlined()
