"""Pictures and text: clicks in masks, heat maps, the table of masks; through the real panel and the slice views."""

from __future__ import annotations

import numpy as np
import pytest
from panel_study import OpenPanel, looked_at

FIRST_LOOK = 0.25  # of an organ


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
    assert panel.editor.marks.linked == [panel.sentence("26 mm"), panel.sentence("Liver lesion.")]
    assert panel.editor.sentenceAtCursor() == panel.sentence("26 mm")
    assert panel.panel.masks.selected() == ["liver_lesion_1"]


def test_clicks_are_heard_in_another_view_of_the_same_name(panel, monkeypatch):
    """As after Clear(1), which removes the views with the scene."""
    import slicer

    manager = slicer.app.layoutManager()
    old, other = manager.sliceWidget("Red"), slicer.qMRMLSliceWidget()
    other._show(old.sliceLogic())
    monkeypatch.setitem(manager._slices, "Red", other)
    panel.panel.showStudy(None)
    panel.panel.showStudy(panel.study)
    click(panel, panel.logic.centreRas(panel.study, "liver_lesion_1"))
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
    assert panel.study.segmentationNode.GetDisplayNode().GetSegmentOpacity3D("spleen") == FIRST_LOOK


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
    assert display.GetSegmentOpacity3D("spleen") < 0.1
    slicer.util.selectModule("SegmentEditor")
    assert display.GetSegmentOpacity3D("spleen") == FIRST_LOOK


def opacities(display, name):
    return [display.GetSegmentOpacity2DFill(name), display.GetSegmentOpacity2DOutline(name),
            display.GetSegmentOpacity3D(name)]


def test_masks_get_back_the_opacities_that_the_user_gave_them(panel):
    links, display = panel.panel.links, panel.study.segmentationNode.GetDisplayNode()
    display.SetSegmentOpacity3D("spleen", 0.4)
    display.SetSegmentOpacity2DOutline("spleen", 0.7)
    before = opacities(display, "spleen")
    links.release()  # nothing is faded
    assert opacities(display, "spleen") == before
    links.showMasks(["liver_lesion_1"])
    assert opacities(display, "spleen") == pytest.approx([0.15 * value for value in before])
    links.showMasks(["consolidation_1"])
    display.SetSegmentOpacity3D("liver", 0.8)  # while it is faded
    links.showMasks(["spleen"])
    assert opacities(display, "spleen") == before
    links.release()
    assert opacities(display, "spleen") == before and display.GetSegmentOpacity3D("liver") == 0.8
    assert not display.GetAttribute("UVLM.opacities")


def test_a_scene_saved_with_faded_masks_has_them_clear_again(panel, app, tmp_path):
    import slicer

    panel.panel.links.showMasks(["liver_lesion_1"])
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.util.loadScene(str(tmp_path / "scene.mrb"), {"clear": True})
    app.processEvents(0.2)
    study, = panel.logic.studies()
    panel.ui.volumeSelector.setCurrentNode(study.volumeNode)
    assert panel.panel.study is study
    assert study.segmentationNode.GetDisplayNode().GetSegmentOpacity3D("spleen") == pytest.approx(FIRST_LOOK)


def test_a_jump_cuts_nothing_off_in_3d(openModule):
    import slicer
    import vtk

    openModule("UVLMReport").panel.askTimer.stop()
    from UVLMReportLib.SliceViews import jumpTo

    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    assert view.displayableManagerByClassName("vtkMRMLCameraDisplayableManager") is not None
    ball = vtk.vtkSphereSource()
    ball.SetRadius(150)
    ball.Update()
    slicer.modules.models.logic().AddModel(ball.GetOutput())
    view.resetCamera()
    camera = view.cameraNode()
    for side in (250, -250):
        jumpTo([0, side, 0])
        near, far = camera.GetCamera().GetClippingRange()
        ahead = np.subtract(camera.GetFocalPoint(), camera.GetPosition())
        depth = -np.array(camera.GetPosition()) @ ahead / np.linalg.norm(ahead)  # of the middle of the ball
        assert near <= depth - 149 and far >= depth + 149


def test_heat_map_follows_sentence_and_stage(panel, app):
    import slicer

    overlay = panel.panel.attribution
    assert overlay.node is None  # off by default
    composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
    before = composite.GetForegroundVolumeID()
    panel.put_cursor("26 mm")
    panel.ui.attributionCheckBox.checked = True
    assert panel.ui.attributionStage.itemText(0) == "all stages"
    panel.ui.attributionStage.setCurrentIndex(1)
    number = panel.study.attribution()["sentence_ids"].index(panel.sentence("26 mm"))
    values = slicer.util.arrayFromVolume(overlay.node)
    assert np.flatnonzero(values).tolist() == [looked_at(number)]
    assert values.max() == 100
    assert composite.GetForegroundVolumeID() == overlay.node.GetID()
    assert not overlay.node.GetSaveWithScene()
    panel.put_cursor("A consolidation")
    assert app.processUntil(
        lambda: np.flatnonzero(slicer.util.arrayFromVolume(overlay.node)).tolist() == [looked_at(0)])
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


@pytest.mark.parametrize("preferred", [None, "Closed surface"])  # the second: after Show 3D of the Segment Editor
def test_surfaces_are_made_one_after_the_other_and_are_slicers(monkeypatch, panel, app, preferred):
    import slicer
    import vtk
    from UVLMReportLib import Surfaces
    from UVLMReportLib.Surfaces import CLOSED_SURFACE, haveSurfaces

    node = panel.study.segmentationNode
    segmentation, display = node.GetSegmentation(), node.GetDisplayNode()
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    assert view.displayableManagerByClassName("vtkMRMLSegmentationsDisplayableManager3D") is not None
    display.SetPreferredDisplayRepresentationName3D(preferred)
    panel.ui.show3DCheckBox.checked = True
    assert not haveSurfaces(segmentation)  # the window goes on
    panel.ui.show3DCheckBox.checked = False  # stops it
    app.processEvents(0.3)
    assert not haveSurfaces(segmentation) and not display.GetVisibility3D()
    made = Counted(Surfaces._surface)
    monkeypatch.setattr(Surfaces, "_surface", made)
    panel.ui.show3DCheckBox.checked = True
    assert app.processUntil(lambda: haveSurfaces(segmentation))
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
    assert app.processUntil(lambda: panel.panel.masks.question is not None)
    question = panel.panel.masks.question
    assert question.window.visible and not question.window.modal, "drawing goes on beside it"
    assert not question.button.enabled, "nothing is chosen at first"
    question.noneButton.click()
    assert not question.window.visible
    assert list(panel.study.assigned.values()) == [""]


def test_two_new_masks_are_asked_about_and_both_questions_go_with_their_study(panel, app):
    from UVLMReportLib.JourneyScene import drawBall

    asked = []
    for name, place in (("mine", [30, 40, 40]), ("another", [30, 60, 40])):
        drawBall(panel.study.segmentationNode, panel.volume, name, place, 4)
        assert app.processUntil(lambda: panel.panel.masks.question not in [None, *asked])
        asked.append(panel.panel.masks.question)
    assert all(question.window.visible for question in asked)
    panel.panel.masks.setStudy(None)
    assert not any(question.window.visible for question in asked)
    panel.panel.masks.setStudy(panel.study)  # asked again, as nobody has answered
    again = panel.panel.masks.question
    assert again.window.visible and again not in asked
    again.noneButton.click()
    panel.panel.masks.setStudy(None)
    panel.panel.masks.setStudy(panel.study)
    assert list(panel.study.assigned.values()) == [""]
    assert panel.panel.masks.question not in [*asked, again] and panel.panel.masks.question.window.visible


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
    assert app.processUntil(lambda: panel.panel.masks.question is not None)
    question = panel.panel.masks.question
    offered = [question.selector.itemText(number) for number in range(question.selector.count)]
    assert "Stomach  (organ)" in offered and "Liver  (organ)" not in offered and "Pancreas  (organ)" not in offered
    question.selector.setCurrentIndex(offered.index("Stomach  (organ)"))
    question.button.click()
    assert tagOf(segmentation.GetSegment(mine), TAG_LABEL) == "stomach"
    assert panel.study.assigned == {"pancreas": "", mine: ""}


def test_a_removed_mask_flags_its_sentences(panel, app):
    name = panel.sentence("26 mm")
    panel.study.segmentationNode.GetSegmentation().RemoveSegment("liver_lesion_1")
    assert app.processUntil(lambda: panel.report.sentence(name).flags)
    assert any(point.sentence == name for point in panel.editor.checks.points)
    assert panel.underlined()


def test_masks_that_were_deleted_leave_the_table(panel, app):
    import slicer

    panel.panel.masks.select(["liver"])
    panel.ui.isolateButton.checked = True
    text = panel.text
    slicer.mrmlScene.RemoveNode(panel.study.segmentationNode)
    app.processEvents(0.1)
    assert panel.ui.segmentsTable.displayedSegmentIDs() == () and panel.panel.masks.selected() == []
    assert not panel.ui.removeMaskButton.enabled and not panel.ui.isolateButton.checked
    panel.panel.masks.removeSelected()
    assert panel.text == text  # the report stays
