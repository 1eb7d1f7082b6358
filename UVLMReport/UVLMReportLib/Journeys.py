"""What users do, as tests that run in Slicer's self-test harness and under pytest alike."""

import gzip
import os
import shutil
import tempfile

import numpy
import slicer

from UVLMReportLib.JourneyScene import (
    bentTransform,
    drained,
    drawBall,
    eraseHalf,
    measurementsBut,
    phantomVolume,
    readJson,
    readText,
    tableOf,
    tagsOf,
    tellsOneSide,
    turned,
    waitFor,
)
from UVLMReportLib.LabelMaps import makingLabelMap
from UVLMReportLib.SegmentationNodes import TAG_LABEL, TAG_PROBABILITY, segmentIds, segmentsAt, tagOf, vtkMatrix
from UVLMReportLib.StudyScene import StudyScene
from UVLMReportLib.VolumeInput import VolumeRefusal

RUN_SECONDS = 300  # of a small phantom, on a slow and busy machine


class Journeys:
    """Mixed into the module's ScriptedLoadableModuleTest. One generated study serves all journeys, and one worker: that
    of the panel, which may be open, and whose logic follows the masks of every study in the scene."""

    widget, logic, scenePath = None, None, None

    @classmethod
    def setUpClass(cls):
        slicer.mrmlScene.Clear(0)
        cls.folder = tempfile.mkdtemp(prefix="UVLM journeys ü ", dir=slicer.app.temporaryPath)
        cls.widget = slicer.util.getModuleWidget("UVLMReport")
        cls.logic = cls.widget.logic
        cls.usualFolder, cls.logic.folder = cls.logic.folder, os.path.join(cls.folder, "run folder")

    @classmethod
    def tearDownClass(cls):
        slicer.mrmlScene.Clear(0)
        cls.logic.folder, cls.scenePath = cls.usualFolder, None
        shutil.rmtree(cls.folder, ignore_errors=True)

    def setUp(self):
        slicer.mrmlScene.Clear(0)
        self.heard = {"made": [], "failed": [], "added": [], "background": []}
        self.connections = [(self.logic.studyMade, self.heard["made"].append),
                            (self.logic.runFailed, self.heard["failed"].append),
                            (self.logic.failed, self.heard["background"].append),
                            (self.logic.segmentAdded, lambda study, name: self.heard["added"].append(name))]
        for listeners, function in self.connections:
            listeners.connect(function)

    def tearDown(self):
        slicer.mrmlScene.Clear(0)
        waitFor(lambda: not self.logic.isRunning(), 30, "the end of the run")
        question = self.widget.panel.masks.question
        if question is not None:
            question.close()
        for listeners, function in self.connections:
            listeners.disconnect(function)

    # ---- ground

    def generated(self, volume, **options):
        """Generates and waits; the StudyScene."""
        self.logic.generate(volume, **options)
        waitFor(lambda: self.heard["made"] or self.heard["failed"], RUN_SECONDS, "the report")
        self.assertEqual([str(failure) for failure in self.heard["failed"]], [])
        return self.heard["made"].pop()

    def study(self):
        """A scene with a phantom and its generated report, made once and loaded from a file afterwards."""
        if type(self).scenePath is None:
            study = self.generated(phantomVolume())
            path = os.path.join(self.folder, "generated.mrb")
            self.assertTrue(slicer.util.saveScene(path))
            type(self).scenePath = path
        else:
            slicer.util.loadScene(self.scenePath)
            self.assertEqual(len(StudyScene.all()), 1)
            study = StudyScene.all()[0]
        waitFor(lambda: not self.logic.masksPending(study), 30, "the first look at the masks")
        return study

    def measuredLesion(self, study):
        """(sentence id, segment id) of a lesion whose longest diameter stands in the text as a live field."""
        report = study.report
        lesions = {row["id"] for row in report.segments if row["kind"] == "lesion"}
        for sentence in report.sentences:
            for field in sentence.fields:
                if field.segment in lesions and field.quantity == "longest_diameter":
                    return sentence.id, field.segment
        for sentence in report.sentences:
            own = [name for name in sentence.segments if name in lesions]
            if len(own) == 1 and sentence.id.startswith("s"):
                report.insert_measurement(sentence.id, len(sentence.text) - 1, own[0], "longest_diameter")
                study.saveReport()
                return sentence.id, own[0]
        raise AssertionError("the phantom's report speaks of no lesion")

    def measured(self, study):
        waitFor(lambda: not self.logic.masksPending(study), 30, "the measurement")
        self.assertEqual([str(failure) for failure in self.heard["background"]], [])

    # ---- journeys

    def test_generateFillsTheScene(self):
        self.delayDisplay("Generate a report")
        study = self.study()
        content, node = study.content, study.segmentationNode
        self.assertEqual(segmentIds(node.GetSegmentation()), [row["id"] for row in content["segments"]])
        masks = numpy.frombuffer(gzip.decompress(study.originalMasks()), numpy.uint8, offset=352)
        labels = drained(makingLabelMap(study))
        parts = numpy.isin(masks.reshape(labels.shape), [row["label"] for row in content["segments"]])
        self.assertTrue((labels[labels > 0] == masks.reshape(labels.shape)[labels > 0]).all())
        self.assertGreater((labels > 0).sum() / parts.sum(), 0.99)  # specks of lesions are no segments
        for row in content["segments"]:
            segment = node.GetSegmentation().GetSegment(row["id"])
            self.assertEqual(tagOf(segment, TAG_LABEL), row["name"])
            self.assertIn(row["codes"]["type"][1], tagOf(segment, segment.GetTerminologyEntryTagName()))
        shown = next(row for row in content["findings"] if row["segments"] and row["name"] != "Cardiomegaly")
        segment = node.GetSegmentation().GetSegment(shown["segments"][0])
        self.assertEqual(tagOf(segment, TAG_PROBABILITY), f"{shown['probability']:.3f}")
        self.assertEqual(study.tableNode.GetNumberOfRows(), len(content["findings"]))
        self.assertEqual([s.text for s in study.report.sentences],
                         [s["text"] for part in content["report"]["sections"] for s in part["sentences"]])
        maps = study.attribution()
        self.assertEqual(len(maps["maps"]), len(maps["sentence_ids"]))

    def test_sentenceLeadsToItsMask(self):
        self.delayDisplay("From a sentence to its mask and back")
        study = self.study()
        sentence, segment = self.measuredLesion(study)
        centre = self.logic.centreRas(study, segment)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *centre, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
        red = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        self.assertAlmostEqual(red.GetSliceOffset(), centre[2], delta=max(study.volumeNode.GetSpacing()))
        self.assertEqual(segmentsAt(study.segmentationNode, centre), [segment])
        self.assertIn(sentence, study.report.sentences_of(segment))

    def test_editedMaskMakesItsFieldStale(self):
        self.delayDisplay("Erase half a lesion")
        study = self.study()
        sentence, segment = self.measuredLesion(study)
        text, others = study.report.sentence(sentence).text, measurementsBut(study, segment)
        eraseHalf(study.segmentationNode, segment)
        waitFor(lambda: study.report.stale_fields, 120, "the stale field")
        self.measured(study)
        field = next(field for field in study.report.sentence(sentence).fields if field.segment == segment)
        self.assertEqual(field.state, "stale")
        self.assertNotEqual(field.old, field.new)
        self.assertEqual(study.report.sentence(sentence).text, text)  # nothing changes before the reader says so
        self.assertEqual(measurementsBut(study, segment), others)  # other masks are not measured again
        study.report.accept_field(sentence, field.index)
        study.saveReport()
        self.assertIn(field.new, study.report.sentence(sentence).text)
        self.assertFalse([field for field in study.report.stale_fields if field.sentence == sentence
                          and field.segment == segment])

    def test_contradictedSideIsFlagged(self):
        self.delayDisplay("Contradict the side")
        study = self.study()
        report = study.report
        found = next((s for s in report.sentences if tellsOneSide(s) and not s.flags), None)
        self.assertIsNotNone(found, "the phantom's report has a sentence with a side")
        swap = {"left": "right", "right": "left"}
        word = "left" if " left " in found.text else "right"
        report.edit_sentence(found.id, found.text.replace(f" {word} ", f" {swap[word]} ", 1))
        study.saveReport()
        flags = [flag for flag in report.sentence(found.id).flags if flag.kind == "side"]
        self.assertTrue(flags, report.sentence(found.id).text)
        self.assertEqual(report.changes[-1].before, found.text)
        report.undo()
        self.assertEqual(report.sentence(found.id).flags, found.flags)

    def test_drawnAndDeletedMasks(self):
        self.delayDisplay("Draw a lesion, delete another")
        study = self.study()
        node = study.segmentationNode
        name = drawBall(node, study.volumeNode, "mine", [n // 2 for n in study.content["scan"]["shape"]], 5)
        waitFor(lambda: self.heard["added"], 120, "the question which finding it is")
        self.assertEqual(self.heard["added"], [name])
        self.logic.assignSegment(study, name, "Lung nodule")
        waitFor(lambda: study.report.offers, 120, "the offered sentence")
        offer = study.report.offers[0]
        self.assertEqual((offer.segment, offer.finding), (name, "Lung nodule"))
        sentence = study.report.accept_offer(offer.id)
        study.saveReport()
        self.assertIn(name, study.report.sentence(sentence).segments)
        node.GetSegmentation().GetSegment(name).SetName("renamed")  # a name means nothing
        node.GetSegmentation().RemoveSegment(name)
        waitFor(lambda: name not in {row["id"] for row in study.report.segments}, 120, "the end of the mask")
        self.measured(study)
        self.assertIn("mask_removed", [flag.kind for flag in study.report.sentence(sentence).flags])

    def test_signedReportTakesAddendaOnly(self):
        self.delayDisplay("Sign, then an addendum")
        from uvlm_core.report.editing import SignedError

        study = self.study()
        report = study.report
        signature = report.sign("Dr. Grün")
        first = next(s for s in report.sentences if s.id.startswith("s"))
        with self.assertRaises(SignedError):
            report.edit_sentence(first.id, "Something else.")
        report.add_addendum("Dr. Grün", "No change of the impression.")
        study.saveReport()
        self.assertEqual(report.state, "addendum")
        self.assertEqual(report.signature.sha256, signature.sha256)
        self.assertIn("No change of the impression.", report.to_text())

    def test_savedSceneComesBackEqual(self):
        self.delayDisplay("Save and load again")
        study = self.study()
        _sentence, segment = self.measuredLesion(study)
        eraseHalf(study.segmentationNode, segment)
        waitFor(lambda: study.report.stale_fields, 120, "the stale field")
        self.measured(study)
        study.report.override_finding(study.content["findings"][0]["name"], "uncertain")
        typed = next(s.id for s in study.report.sentences if s.id.startswith("s"))
        study.report.edit_sentence(typed, "Größe unverändert.")
        study.saveReport()
        before = (study.report.to_json(), study.content, study.originalMasks(), study.attributionFile(),
                  tagsOf(study), tableOf(study))
        labels = drained(makingLabelMap(study))
        path = os.path.join(self.folder, "saved ü.mrb")
        self.assertTrue(slicer.util.saveScene(path))
        slicer.mrmlScene.Clear(0)
        self.assertFalse(study.exists)
        slicer.util.loadScene(path)
        again = StudyScene.find(slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"))
        self.assertIsNotNone(again)
        self.assertEqual((again.report.to_json(), again.content, again.originalMasks(), again.attributionFile(),
                          tagsOf(again), tableOf(again)), before)
        self.assertTrue((drained(makingLabelMap(again)) == labels).all())
        self.measured(again)
        self.assertTrue(again.masksEdited)
        self.assertEqual(again.report.to_json(), before[0])  # the first look at the masks changes nothing
        eraseHalf(again.segmentationNode, segment)  # and they are followed again
        value = again.report.measurement(segment, "volume")["value"]
        waitFor(lambda: again.report.measurement(segment, "volume")["value"] < value, 120, "the new measurement")

    def test_killedWorkerIsStartedAgain(self):
        self.delayDisplay("Kill the worker")
        volume = phantomVolume()
        self.logic.generate(volume)
        waitFor(lambda: self.logic.worker.state == "busy" and self.logic.worker.hello, 120, "the run")
        self.logic.worker._process.kill()
        waitFor(lambda: self.heard["failed"], 60, "the message")
        failure = self.heard["failed"].pop()
        self.assertEqual(failure.kind, "crashed")
        self.assertIn("started again", str(failure))
        self.assertIsNone(self.logic.studyOf(volume))
        self.assertFalse(self.logic.isRunning())
        answers = []
        self.logic.hello(answers.append)
        waitFor(lambda: answers, 120, "the new worker")
        self.assertEqual(answers[0]["protocol"], "uvlm-worker/1")

    def test_cancelledRunLeavesNothing(self):
        self.delayDisplay("Cancel")
        volume = phantomVolume()
        self.logic.generate(volume)
        waitFor(lambda: self.logic.worker.state == "busy" and self.logic.worker.hello, 120, "the run")
        with self.assertRaises(VolumeRefusal):  # one at a time
            self.logic.generate(volume)
        self.logic.cancel()
        waitFor(lambda: self.heard["failed"], 60, "the end of the run")
        self.assertEqual(self.heard["failed"].pop().kind, "cancelled")
        self.assertEqual(StudyScene.all(), [])
        self.assertEqual([name for name in os.listdir(self.logic.folder) if name.startswith("run-")], [])

    def test_closedSceneDropsTheRun(self):
        self.delayDisplay("Close the scene during a run")
        self.logic.generate(phantomVolume())
        waitFor(lambda: self.logic.worker.state == "busy", 120, "the run")
        slicer.mrmlScene.Clear(0)
        waitFor(lambda: not self.logic.isRunning(), 10, "the end of the run")
        self.assertEqual([failure.kind for failure in self.heard["failed"]], ["cancelled"])
        self.assertEqual((StudyScene.all(), self.heard["made"]), ([], []))
        volume = phantomVolume()  # the same ids again
        self.assertIsNone(self.logic.studyOf(volume))

    def test_deletedVolumeEndsTheRun(self):
        self.delayDisplay("Delete the volume during a run")
        volume = phantomVolume()
        self.logic.generate(volume)
        waitFor(lambda: self.logic.worker.state == "busy", 120, "the run")
        slicer.mrmlScene.RemoveNode(volume)
        waitFor(lambda: not self.logic.isRunning(), 10, "the end of the run")
        self.assertEqual([failure.kind for failure in self.heard["failed"]], ["cancelled"])
        self.assertEqual(StudyScene.all(), [])

    def test_deletedVolumeKeepsTheText(self):
        self.delayDisplay("Delete the volume")
        study = self.study()
        text = study.report.to_text()
        slicer.mrmlScene.RemoveNode(study.volumeNode)
        self.assertIsNone(study.volumeNode)
        study.report.edit_sentence(study.report.sentences[0].id, "Still editable.")
        study.saveReport()
        self.assertNotEqual(study.report.to_text(), text)
        self.assertEqual(len(StudyScene.all()), 1)

    def test_otherImagesAreRefused(self):
        self.delayDisplay("An MR is refused")
        values = numpy.abs(numpy.random.default_rng(0).normal(300, 90, (24, 48, 48))).astype(numpy.int16)
        matrix = vtkMatrix(numpy.diag([-4.0, -4.0, 5.0, 1.0]))
        magnetic = slicer.util.addVolumeFromArray(values, matrix, "MR")
        single = slicer.util.addVolumeFromArray(values[:1], matrix, "slice")
        labels = slicer.util.addVolumeFromArray((values > 300).astype(numpy.uint8), matrix, "labels",
                                                "vtkMRMLLabelMapVolumeNode")
        for node, reason in ((magnetic, "HU"), (single, "1 slices"), (labels, "label map"), (None, "Choose")):
            self.assertIn(reason, self.logic.refusalOf(node))
            with self.assertRaises(VolumeRefusal):
                self.logic.generate(node)
        self.assertFalse(self.logic.isRunning())

    def test_turnedVolumeUnderATransform(self):
        self.delayDisplay("An oblique volume under a transform, in a folder with a space and an ü")
        volume = phantomVolume(rotation=turned(12))
        transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        moved = numpy.eye(4)
        moved[:3, :3], moved[:3, 3] = turned(-20), [30, -40, 50]
        transform.SetMatrixTransformToParent(vtkMatrix(moved))
        volume.SetAndObserveTransformNodeID(transform.GetID())
        study = self.generated(volume)
        self.assertIn("ü", self.logic.folder)
        self.assertEqual(study.segmentationNode.GetTransformNodeID(), transform.GetID())
        liver = next(row for row in study.content["segments"] if row["name"] == "liver")
        centre = self.logic.centreRas(study, "liver")
        low, high = numpy.array(liver["bbox_ras_mm"])
        local = numpy.linalg.inv(moved) @ [*centre, 1]
        self.assertTrue((low <= local[:3]).all() and (local[:3] <= high).all())
        self.assertEqual(segmentsAt(study.segmentationNode, centre), ["liver"])

    def test_bentVolumeIsCopied(self):
        self.delayDisplay("A volume under a transform that is not linear")
        volume = phantomVolume()
        volume.SetAndObserveTransformNodeID(bentTransform().GetID())
        with self.assertRaises(VolumeRefusal) as refusal:
            self.logic.generate(volume)
        self.assertTrue(refusal.exception.canHarden)
        copy = self.logic.hardenedCopy(volume)
        self.assertIsNone(copy.GetTransformNodeID())
        self.assertEqual(self.logic.refusalOf(copy), "")

    def test_twoVolumesKeepTwoReports(self):
        self.delayDisplay("Two volumes")
        first = self.study()
        slicer.util.loadScene(type(self).scenePath, {"clear": False})  # adds to the scene; ids are made new
        second = next(study for study in StudyScene.all() if study is not first)
        self.assertEqual(len(StudyScene.all()), 2)
        second.report.edit_sentence(second.report.sentences[0].id, "Only here.")
        second.saveReport()
        self.assertNotIn("Only here.", first.report.to_text())
        self.assertIs(StudyScene.find(first.volumeNode), first)
        self.assertIs(StudyScene.find(second.volumeNode), second)

    def test_keepAndExport(self):
        self.delayDisplay("Keep as training case and export")
        study = self.study()
        _sentence, segment = self.measuredLesion(study)
        eraseHalf(study.segmentationNode, segment)
        waitFor(lambda: study.masksEdited and not self.logic.masksPending(study), 30, "the measurement")
        study.report.sign("Reader")
        study.saveReport()
        cases, studies, failures = [], [], []
        kept = os.path.join(self.folder, "Fälle")
        for _number in range(2):
            self.logic.keepTrainingCase(study, kept, cases.append, failures.append)
        self.logic.exportStudy(study, os.path.join(self.folder, "exported study"), studies.append, failures.append)
        waitFor(lambda: len(cases) + len(studies) + len(failures) == 3, 120, "the cases and the study")
        self.assertEqual([str(failure) for failure in failures], [])
        self.assertEqual(len(os.listdir(kept)), 2)  # a second time beside the first
        self.assertEqual(sorted(os.listdir(cases[0])), ["case.json", "image.nii.gz", "labels_corrected.nii.gz",
                                                        "labels_original.nii.gz", "report.json"])
        self.assertEqual(readJson(cases[0], "report.json")["state"], "signed")
        self.assertEqual(readJson(studies[0], "study.json")["provenance"]["edited"]["signed_by"], "Reader")
        for export, ending in ((self.logic.exportHtml, "html"), (self.logic.exportText, "txt"),
                               (self.logic.exportPdf, "pdf")):
            path = export(study, os.path.join(self.folder, f"Bericht ü.{ending}"))
            self.assertGreater(os.path.getsize(path), 500)
            if ending != "pdf":
                written = readText(path)
                self.assertIn("research use only", written.lower())
                self.assertIn(study.content["provenance"]["model"], written)
