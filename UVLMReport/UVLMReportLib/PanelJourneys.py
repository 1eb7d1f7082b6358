"""What users do with the panel itself, for the module's self test; in Slicer it runs with real widgets and views."""

import qt
import slicer

from UVLMReportLib.JourneyScene import waitFor
from UVLMReportLib.ReportMarks import AMBER
from UVLMReportLib.SegmentationNodes import ORGAN_OPACITY


class PanelJourneys:
    """Mixed into the module's ScriptedLoadableModuleTest, beside Journeys, whose study is shown in the panel."""

    def shownInThePanel(self):
        """The panel (ReportPanel) with the generated study; its worker is not asked anything."""
        study = self.study()
        slicer.util.selectModule("UVLMReport")
        widget = self.widget
        widget.panel.askTimer.stop()
        widget.ui.volumeSelector.setCurrentNode(study.volumeNode)
        widget.panel.showVolume(study.volumeNode)
        self.assertIs(widget.panel.study, study)
        waitFor(lambda: not widget.logic.masksPending(study), 60, "the first look at the masks")
        return widget.panel

    def test_panelShowsTheStudy(self):
        self.delayDisplay("The panel shows what was found")
        panel = self.shownInThePanel()
        report = panel.study.report
        self.assertEqual(panel.ui.reportEdit.plainText, report.layout().text)
        self.assertEqual(panel.findings.visibleNames(), [row["name"] for row in report.findings])
        panel.ui.onlyPresentCheckBox.setChecked(True)
        shown = [row["name"] for row in report.findings if row["state"] in ("present", "uncertain")]
        self.assertEqual(sorted(panel.findings.visibleNames()), sorted(shown))
        panel.ui.onlyPresentCheckBox.setChecked(False)
        panel.ui.findingsFilter.setText("no such finding")
        self.assertEqual(panel.findings.visibleNames(), [])
        panel.ui.findingsFilter.setText("")
        picture = panel.ui.findingsTable.grab()
        self.assertFalse(picture.isNull())  # paints the probability bars too

    def test_panelLeadsFromTextToImageAndBack(self):
        self.delayDisplay("From a sentence to its mask, and from a mask to its sentence")
        panel = self.shownInThePanel()
        sentence, _lesion = self.measuredLesion(panel.study)
        segment = panel.study.report.sentence(sentence).segments[0]
        panel.editor.goTo(sentence)
        centre = panel.logic.centreRas(panel.study, segment)
        red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        self.assertAlmostEqual(red.GetSliceOffset(), centre[2], delta=2 * max(panel.study.volumeNode.GetSpacing()))
        display = panel.study.segmentationNode.GetDisplayNode()
        self.assertLess(display.GetSegmentOpacity3D("liver"), 0.1)
        panel.editor.goTo(panel.study.report.sentences[0].id)
        self.clickInRedSlice(centre)
        self.assertIn(sentence, panel.editor.marks.linked)
        self.assertIn(segment, panel.masks.selected())
        panel.leave()
        self.assertEqual(display.GetSegmentOpacity3D("liver"), ORGAN_OPACITY)  # as at the first look

    def clickInRedSlice(self, ras):
        """Presses and releases the left button at a world point, which is brought to the middle of the view."""
        widget = slicer.app.layoutManager().sliceWidget("Red")
        widget.mrmlSliceNode().JumpSliceByCentering(*ras)
        view = widget.sliceView()
        x, y = [round(value) for value in view.convertRASToXYZ(list(ras))[:2]]
        interactor = view.interactor()
        for event in ("LeftButtonPressEvent", "LeftButtonReleaseEvent"):
            interactor.SetEventPosition(x, y)
            interactor.InvokeEvent(event)

    def test_panelEditsText(self):
        self.delayDisplay("Type, undo, accept a measurement")
        panel = self.shownInThePanel()
        report = panel.study.report
        sentence, segment = self.measuredLesion(panel.study)
        text = panel.ui.reportEdit.plainText
        panel.editor.text.putCursor(report.layout().span_of(sentence)[0])
        panel.ui.reportEdit.textCursor().insertText("Again: ")
        self.assertTrue(report.sentence(sentence).text.startswith("Again: "))
        self.assertEqual(panel.ui.reportEdit.plainText, report.layout().text)
        panel.editor.undo()
        self.assertEqual(panel.ui.reportEdit.plainText, text)
        row = report.measurement(segment, "longest_diameter")
        panel.editor.change(lambda report: report.apply_measurements([dict(row, value=row["value"] + 30)]))
        stale = len(report.stale_fields)  # findings and impression may both give the size
        field = report.stale_fields[0]
        colours = [mark.format.background().color().name() for mark in panel.ui.reportEdit.extraSelections()]
        self.assertIn(qt.QColor(*AMBER).name(), colours)
        panel.ui.checksList.setCurrentRow(0)
        panel.ui.acceptButton.click()
        self.assertIn(field.new, panel.ui.reportEdit.plainText)
        self.assertEqual(len(report.stale_fields), stale - 1)

    def test_panelShowsHeatMaps(self):
        self.delayDisplay("Heat map of a sentence")
        panel = self.shownInThePanel()
        name = panel.study.attribution()["sentence_ids"][0]
        panel.editor.goTo(name)
        self.assertIsNone(panel.attribution.node)
        panel.ui.attributionCheckBox.setChecked(True)
        node = panel.attribution.node
        self.assertEqual(float(slicer.util.arrayFromVolume(node).max()), 100.0)
        composite = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceCompositeNodeRed")
        self.assertEqual(composite.GetForegroundVolumeID(), node.GetID())
        panel.ui.attributionCheckBox.setChecked(False)
        self.assertIsNone(panel.attribution.node)
