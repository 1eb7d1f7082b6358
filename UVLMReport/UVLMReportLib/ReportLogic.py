"""What the module can do, without a window: generate, correct, keep, export."""

import os
import shutil
import uuid

import slicer
from slicer.i18n import tr as _
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic
from slicer.util import VTKObservationMixin

from UVLMReportLib import Export, TrainingCases, VolumeInput
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.MaskEdits import MaskEdits
from UVLMReportLib.SegmentationNodes import TAG_FINDING, TAG_LABEL, centreRas
from UVLMReportLib.StudyScene import StudyScene, importingReport
from UVLMReportLib.VolumeInput import VolumeRefusal
from UVLMReportLib.WorkerClient import WorkerClient, WorkerFailure, failureOf
from UVLMShared.InSteps import InSteps
from UVLMShared.SingleShot import later


class ReportLogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """Owns the worker and watches the studies of the scene. All callbacks come on the main thread.

    Listeners (connect(function)):
        stateChanged()              the worker or the run changed: see `worker.state`, `runningVolumeId`
        progressed(progress)        dict: stage, done, total, text, fraction 0..1, seconds_left (None: unknown)
        studyMade(study)            a run ended well
        studyChanged(study)         report, masks or findings of a study changed, whoever changed them
        runFailed(failure)          WorkerFailure; its kind is "cancelled" after `cancel`
        segmentAdded(study, id)     the user drew a segment: ask which finding it is, then `assignSegment`
        failed(failure)             measuring in the background did not work
        measuring(study)            what is in `unmeasured` changed
        remarked(level, text)       a sentence for the status line; level "info", "warning" or "error"
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self.stateChanged, self.progressed = Listeners(), Listeners()
        self.studyMade, self.studyChanged, self.runFailed = Listeners(), Listeners(), Listeners()
        self.segmentAdded, self.failed, self.remarked = Listeners(), Listeners(), Listeners()
        self.measuring = Listeners()
        self.worker = WorkerClient()
        self.worker.stateChanged.connect(lambda state: self.stateChanged())
        self.worker.logged.connect(lambda level, text: self.remarked(level, text))
        self.folder = os.path.join(slicer.app.temporaryPath, f"UVLM-{uuid.uuid4().hex[:12]}")
        self.runningVolumeId, self._runFolder, self._request, self._runSteps = None, None, None, None
        self._frame = None  # of a sequence that is being read, as of `frameOf`
        self._otherSteps = []
        self.lastRun = {}  # the worker's result of the last run that ended well: seconds, device, reloaded, warnings
        self._edits = {}  # report node id -> MaskEdits
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self._onEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, lambda caller, event: self.watchStudies())
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self._onNodeRemoved)
        # before the first report is there, or is loaded; what cannot be imported is told then
        self.inSteps(importingReport(), lambda ignored: None, lambda error: None)
        self.watchStudies()

    # ---- asking

    def studyOf(self, volumeNode):
        """The latest study of a volume (StudyScene), or None."""
        return StudyScene.find(volumeNode)

    def studies(self):
        """All studies of the scene."""
        return StudyScene.all()

    def refusalOf(self, volumeNode):
        """Why a volume cannot be read, "" for one that can."""
        return VolumeInput.refusalOf(volumeNode)

    def remarksOf(self, volumeNode):
        """What is unusual about a volume that can be read; a list of sentences."""
        return VolumeInput.remarksOf(volumeNode)

    def hello(self, done, failed=None):
        """Asks the worker for versions, devices and missing packages; starts it if needed."""
        self.worker.request("hello", done=done, failed=failed)

    def bundleInfo(self, bundle, done, failed=None, device="auto", precision="auto"):
        """Asks the worker about a model ("" is the demo model): licence, intended use, expected time and memory."""
        self.worker.request("bundle_info", {"bundle": bundle or None, "device": device, "precision": precision},
                            done, failed)

    def runningVolume(self):
        """The volume whose report is being generated; None without a run, or where it was deleted."""
        return slicer.mrmlScene.GetNodeByID(self.runningVolumeId) if self.runningVolumeId is not None else None

    def isRunning(self):
        """True from `generate` until studyMade or runFailed."""
        return self.runningVolumeId is not None

    def centreRas(self, study, segmentId):
        """[R, A, S] in the world of a point inside a mask; None for an empty or deleted one."""
        node = study.segmentationNode
        if node is None or node.GetSegmentation().GetSegment(segmentId) is None:
            return None
        edits = self._edits.get(study.reportNodeId)
        return centreRas(node, segmentId, edits.shapes if edits is not None and not edits.pending else None)

    # ---- generating

    def generate(self, volumeNode, bundle="", device="auto", precision="auto"):
        """Starts a run; returns at once. Afterwards comes studyMade or runFailed.

        Args:
            bundle: folder of the model; "" is the demo model.

        Raises:
            VolumeRefusal: not a CT, another run is going on, or (with `canHarden`) a transform that is not linear.
            WorkerFailure: there is no room for the files of the run.
        """
        if self.isRunning():
            raise VolumeRefusal(_("A report is being generated already; wait for it or cancel it."))
        reason = VolumeInput.refusalOf(volumeNode)
        if reason:
            raise VolumeRefusal(reason)
        if VolumeInput.needsHardening(volumeNode):
            raise VolumeRefusal(_("'{name}' is under a transform that is not linear. Make a hardened copy of it and "
                                  "read that.").format(name=volumeNode.GetName()), canHarden=True)
        run = os.path.join(self.folder, f"run-{uuid.uuid4().hex[:8]}")
        try:
            os.makedirs(run)  # before anything says that a run goes on
        except OSError as error:
            raise failureOf(error) from error
        self.runningVolumeId, self._runFolder = volumeNode.GetID(), run
        voxels, self._frame = VolumeInput.Voxels(volumeNode), VolumeInput.frameOf(volumeNode)
        for text in self.remarksOf(volumeNode):
            self.remarked("info", text)
        self.stateChanged()
        self.progressed({"stage": "copy", "done": 0, "total": 1, "text": "", "fraction": 0.0, "seconds_left": None})
        self._runSteps = InSteps(VolumeInput.writing(voxels, os.path.join(run, "volume.npy")),
                                 lambda volume: self._run(volume, run, bundle, device, precision), self._runEnded)

    def hardenedCopy(self, volumeNode):
        """A copy of the volume, resampled by its transforms; the new node."""
        return VolumeInput.hardenedCopy(volumeNode)

    def cancel(self):
        """Stops the run; runFailed with the kind "cancelled" follows within a second or so."""
        if self._request is not None:
            self.worker.cancel(self._request)
        elif self.isRunning():
            self._runSteps.stop()
            self._runEnded(WorkerFailure(_("Cancelled."), "cancelled"))

    def _run(self, volume, run, bundle, device, precision):
        params = {"volume": volume, "bundle": bundle or None, "device": device, "precision": precision,
                  "out": os.path.join(run, "study"), "segment_map": os.path.join(run, "segments.npy")}
        self._request = self.worker.request("run", params, lambda result: self._ran(run, result), self._runEnded,
                                            self.progressed)

    def _ran(self, run, result):
        self._request, self.lastRun = None, result
        volume = self.runningVolume()
        if volume is None:  # deleted; the result was quicker than the cancelling
            self._runEnded(WorkerFailure(_("Cancelled."), "cancelled"))
            return
        steps = StudyScene.creating(volume, result["study"], os.path.join(run, "segments.npy"), self._frame)
        self._runSteps = InSteps(steps, self._made, self._runEnded)

    def _made(self, study):
        self._endRun()
        self.watchStudies()
        later(0, lambda: self._tell(study))  # the views first take in what is new in the scene

    def _tell(self, study):
        if study is not None and study.exists:
            self.studyMade(study)
            self.studyChanged(study)

    def _runEnded(self, failure):
        self._endRun()
        self.runFailed(failureOf(failure))

    def _endRun(self):
        run, self._runFolder = self._runFolder, None
        self.runningVolumeId, self._request = None, None
        if run is not None:
            shutil.rmtree(run, ignore_errors=True)
        self.stateChanged()

    # ---- correcting

    def watchStudies(self):
        """Follows the masks of every study in the scene; after a run, after loading, after reloading the module."""
        for study in StudyScene.all():
            if study.reportNodeId in self._edits or study.damage:
                continue
            edits = self._edits[study.reportNodeId] = MaskEdits(study, self.worker, self.folder)
            edits.added.connect(lambda study, name: self.segmentAdded(study, name))
            edits.failed.connect(lambda failure: self.failed(failure))
            edits.waits.connect(lambda study: self.measuring(study))
            study.changed.connect(self.studyChanged)
            edits.start()

    def masksPending(self, study):
        """True while an edit of the study's masks has not been measured yet."""
        edits = self._edits.get(study.reportNodeId)
        return edits is not None and edits.pending

    def unmeasured(self, study):
        """What is not measured yet: a list of sentences."""
        edits = self._edits.get(study.reportNodeId)
        return edits.unmeasured if edits is not None else []

    def measureSegment(self, study, segmentId):
        """Measures one mask now; studyChanged follows."""
        self._edits[study.reportNodeId].measure(segmentId)

    def assignSegment(self, study, segmentId, findingName):
        """Says which finding a drawn segment shows; it is then measured, and the report offers a sentence.

        Args:
            findingName: one of Resources/Labels/findings.json that a mask can show; None: the report need not name it.
        """
        from uvlm_core.labels import finding_named

        label = finding_named(findingName).label if findingName is not None else None
        self._assign(study, segmentId, findingName, label)

    def assignOrgan(self, study, segmentId, labelName):
        """Says which organ a drawn segment shows; it is then measured, and sides and places are told with it.

        Args:
            labelName: `name` of an organ of Resources/Labels/labels.json.
        """
        self._assign(study, segmentId, None, labelName)

    def _assign(self, study, segmentId, findingName, labelName):
        from uvlm_core.labels import label_named

        study.assign(segmentId, findingName)
        if labelName is None:
            return
        segment = study.segmentationNode.GetSegmentation().GetSegment(segmentId)
        segment.SetTag(TAG_FINDING, findingName or "")
        segment.SetTag(TAG_LABEL, labelName)
        from UVLMReportLib.SegmentationNodes import terminologyEntry

        segment.SetTag(segment.GetTerminologyEntryTagName(), terminologyEntry(label_named(labelName).codes))
        self.measureSegment(study, segmentId)

    # ---- keeping and exporting

    def keepTrainingCase(self, study, folder, done, failed):
        """Writes the study as a training case into `folder`; done(path of the new case folder)."""
        TrainingCases.keep(self, study, folder, done, failed)

    def exportHtml(self, study, path):
        return Export.exportHtml(study, path)

    def exportText(self, study, path):
        return Export.exportText(study, path)

    def exportPdf(self, study, path):
        return Export.exportPdf(study, path)

    def exportStudy(self, study, folder, done, failed):
        """Writes a complete study folder with the corrected masks and the edited text; done(path)."""
        Export.exportStudy(self, study, folder, done, failed)

    # ---- scene and end

    def inSteps(self, steps, done, failed):
        """Runs a generator until it ends or the logic does."""
        self._otherSteps = [work for work in self._otherSteps if work.running]
        self._otherSteps.append(InSteps(steps, done, failed))

    def _onStartClose(self, caller, event):
        """The scene goes: the run is of no use any more. Its result must not reach a volume that gets the same id."""
        if self._runSteps is not None:
            self._runSteps.stop()
        if self._request is not None:
            self.worker.forget(self._request)
            self.worker.cancel(self._request)
            self._request = None
        for edits in self._edits.values():
            edits.stop()
        self._edits = {}

    def _onEndClose(self, caller, event):
        StudyScene.forgetAll()
        if self.isRunning():
            self._runEnded(WorkerFailure(_("Cancelled: the scene was closed."), "cancelled"))

    def _onNodeRemoved(self, caller, event):
        if self.isRunning() and not slicer.mrmlScene.IsClosing() and self.runningVolume() is None:
            self.cancel()  # nobody is left to show the result to
        for key, edits in list(self._edits.items()):
            edits.followVolume()
            if not edits.study.exists:
                del self._edits[key]
            elif not edits.watching or edits.study.segmentationNode is not None:
                continue
            edits.stop()
            self.studyChanged(edits.study)

    def shutdown(self):
        """Ends run, timers, observers and child at once; nothing is called afterwards."""
        self.removeObservers()
        for listeners in (self.stateChanged, self.progressed, self.studyMade, self.studyChanged, self.runFailed,
                          self.segmentAdded, self.failed, self.remarked, self.measuring):
            listeners.clear()
        for work in [*self._otherSteps, *([self._runSteps] if self._runSteps is not None else [])]:
            work.stop()
        for edits in self._edits.values():
            edits.study.changed.disconnect(self.studyChanged)
            edits.stop()
        self._edits = {}
        self.worker.shutdown()
        shutil.rmtree(self.folder, ignore_errors=True)
