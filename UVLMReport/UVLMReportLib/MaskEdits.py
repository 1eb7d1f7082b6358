"""Notices edits of masks and has what depends on them measured again."""

import contextlib
import os
import shutil

import numpy
import qt
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.LabelMaps import makingLabelMap
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.MaskShapes import MaskShapes
from UVLMReportLib.SegmentationNodes import (
    LABELMAP,
    TAG_LABEL,
    betweenNodes,
    cuttingOut,
    imageMatrix,
    segmentIds,
    tagOf,
)
from UVLMReportLib.VolumeInput import Voxels, ijkToRas, readingValues, writingArray
from UVLMReportLib.WorkerClient import WorkerFailure, failureOf
from UVLMShared.InSteps import InSteps
from UVLMShared.SingleShot import later

PAUSE_MS = 200  # after the last change of a stroke
EVENTS = ("SourceRepresentationModified", "SegmentModified", "SegmentAdded", "SegmentRemoved")
VOLUME_TOLERANCE_ML = 0.001  # volumes are kept with three digits
MEASURE_SECONDS = 120  # then the worker counts as hung
TRIED_AGAIN = ("crashed", "timeout")  # kinds of failures after which the next worker may do it
COARSE = 2  # the label map that tells sides and places is sent with every second voxel


class MaskEdits:
    """Watches the segmentation of one study; `start` begins, `stop` ends it.

    Listeners:
        measured(study, ids): masks were measured, their fields turned stale and the report was saved.
        added(study, id): the user drew a new segment; answer with `measure(id)` after `study.assign(id, finding)`.
        removed(study, id): a segment is gone and its sentences are flagged.
        waits(study): what is in `unmeasured` changed.
        failed(failure): measuring did not work; after a crash it is tried once more, else with the next edit.
    """

    def __init__(self, study, client, folder):
        """
        Args:
            client: WorkerClient. folder: where cut-outs are written for the worker; they are removed after use.
        """
        self.study, self.client = study, client
        self.measured, self.added, self.removed, self.failed = Listeners(), Listeners(), Listeners(), Listeners()
        self.waits = Listeners()
        self.shapes = MaskShapes()
        self._folder, self._count = folder, 0
        self._segmentation, self._tags = None, []
        self._known, self._asked = set(), set()
        self._work, self._request, self._context = None, None, None
        self._ready, self._dirty = False, False
        # ids that are to be measured, that are being measured, and that wait for the next edit or the right frame
        self._waiting, self._measuring, self._postponed = set(), set(), set()
        self._retried = False
        self._volume, self._stopped = None, False  # the first: the node that is watched for its frame
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._look)

    @property
    def pending(self):
        """True while the masks have not been looked at yet, or an edit has not been measured yet."""
        return self._segmentation is not None and (
            not self._ready or self._dirty or bool(self._waiting) or self._request is not None or self._working)

    @property
    def unmeasured(self):
        """What is not measured yet: a sentence for each mask that was edited, or one while they are looked at."""
        names = (self._waiting | self._measuring | self._postponed) & self._known
        segments = [self._segmentation.GetSegment(name) for name in sorted(names)] if self.watching else []
        text = _("The mask '{name}' was edited and is not measured yet: sizes in the text may be those of before.")
        found = [text.format(name=segment.GetName()) for segment in segments if segment is not None]
        if not found and self.pending:
            found = [_("The masks are being looked at: sizes in the text may be those of before the last edit.")]
        return found

    @property
    def _working(self):
        return self._work is not None and self._work.running

    def start(self):
        """Looks at the masks as they are, then watches them."""
        node = self.study.segmentationNode
        if node is None:
            return
        self._segmentation = node.GetSegmentation()
        self._known = set(segmentIds(self._segmentation))
        self._asked = set(self.study.assigned)
        for name in EVENTS:
            self._tags.append(self._segmentation.AddObserver(getattr(self._segmentation, name), self._touched))
        self.followVolume()
        self._work = InSteps(self.shapes.updating(self._segmentation), self._begun, self._broken)

    @property
    def watching(self):
        """True between `start` and `stop`, where there are masks."""
        return self._segmentation is not None

    def followVolume(self):
        """Watches which frame the study's volume shows, where it is one of a sequence; lets a deleted one go."""
        volume = self.study.volumeNode if self.study.frame is not None and not self._stopped else None
        if volume is self._volume:
            return
        if self._volume is not None:
            self._volume.RemoveObserver(self._frameTag)
        self._volume = volume
        if volume is not None:
            self._frameTag = volume.AddObserver(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent, self._onFrame)

    def stop(self):
        """No callback comes any more; a measurement that the worker has begun is forgotten. It cannot start again."""
        if self._stopped:
            return
        self._stopped = True
        timer = self._timer
        timer.stop()
        timer.disconnect("timeout()", self._look)  # Qt would keep this object, and the study, for ever
        later(0, lambda: timer.stop())  # keeps it until its own signal, which may run now, returns
        if self._work is not None:
            self._work.stop()
        if self._request is not None:
            self.client.forget(self._request)
        if self._segmentation is not None:
            for tag in self._tags:
                self._segmentation.RemoveObserver(tag)
        self.followVolume()  # it is let go
        if self._context is not None:
            with contextlib.suppress(OSError):
                os.remove(self._context["labels"])
        self._segmentation, self._tags, self._request, self._context = None, [], None, None
        self._waiting.clear()
        self._ready = self._dirty = False
        for listeners in (self.measured, self.added, self.removed, self.failed, self.waits):
            listeners.clear()

    def measure(self, segmentId):
        """Measures a segment now, whether it changed or not."""
        self._waiting.add(segmentId)
        self._next()

    # ---- what changed

    def _begun(self, changed):
        """The masks have been looked at for the first time. What is not as the report says was done just now, before
        the scene was saved, or before this module was opened: removed masks, other volumes, unnamed new masks."""
        self._ready = True
        if not self.study.exists:
            return
        gone = sorted({row["id"] for row in self.study.report.segments} - self._known)
        if gone and not self._known:  # nobody removes all of them; a file that is missing looks so
            self.failed(WorkerFailure(_("The masks of this report are not in the scene: their file is missing or could "
                                        "not be read. The report stays as it is."), "masks",
                                      whatToDo=_("Load the scene from where its files are.")))
            gone = []
        for name in gone:
            self._gone(name)
        volumes = {row["segment"]: row["value"] for row in self.study.report.measurements if row["name"] == "volume"}
        for name in sorted(self._known):
            if self._labelOf(name) and abs(volumes.get(name, 0.0) - self._millilitres(name)) > VOLUME_TOLERANCE_ML:
                self._waiting.add(name)
            else:
                self._ask(name)
        if self._dirty:
            self._timer.start(PAUSE_MS)
        self.waits(self.study)
        self._next()

    def _ask(self, name):
        """Has the user asked, once, what a mask shows that nobody named and that is not empty."""
        if not self._labelOf(name) and name not in self._asked and self.shapes.voxelsOf(name):
            self._asked.add(name)
            self.added(self.study, name)

    def _millilitres(self, name):
        image = self._segmentation.GetSegment(name).GetRepresentation(LABELMAP)
        voxel = abs(numpy.linalg.det(imageMatrix(image)[:3, :3])) / 1000 if image is not None else 0.0
        return self.shapes.voxelsOf(name) * voxel

    def _touched(self, caller, event):
        if not self._dirty:
            self._dirty = True
            self.waits(self.study)
        if self._ready:
            self._timer.start(PAUSE_MS)

    def _look(self):
        if self._segmentation is None or not self.study.exists or self.study.damage:
            return
        if self._working:
            self._timer.start(PAUSE_MS)
            return
        self._dirty = False
        self._compareIds()
        if self._segmentation is not None:
            self._work = InSteps(self.shapes.updating(self._segmentation), self._looked, self._broken)

    def _compareIds(self):
        now = set(segmentIds(self._segmentation))
        gone, self._known = self._known - now, now
        for name in sorted(gone):
            self._gone(name)

    def _gone(self, name):
        self._waiting.discard(name)
        self._asked.discard(name)
        self.study.setMasksEdited()
        self._removeFromReport(name)
        self.study.saveReport()
        self.removed(self.study, name)

    def _looked(self, changed):
        if self._segmentation is None or not self.study.exists:
            return
        if self._dirty:  # edited while it was looked at
            self._timer.start(PAUSE_MS)
        if changed:
            self.study.setMasksEdited()
        for name in sorted(changed & self._known):
            if self._labelOf(name):
                self._waiting.add(name)
            else:
                self._ask(name)
        self.waits(self.study)
        self._next()

    def _labelOf(self, name):
        """Name of the label that a segment shows; "" for one that the user drew and nobody named yet."""
        segment = self._segmentation.GetSegment(name)
        return tagOf(segment, TAG_LABEL) if segment is not None else ""

    def _broken(self, error):
        self.failed(failureOf(error))

    def _onFrame(self, caller, event):
        if self._postponed:
            later(0, self._onFrameShown)

    def _onFrameShown(self):
        """The sequence shows another frame: what waits for that of the report is measured."""
        if self._segmentation is not None and self.study.exists and not self.study.otherFrame:
            self._waiting |= self._postponed
            self._next()

    # ---- measuring

    def _next(self):
        """Sends what waits to be measured, one request at a time."""
        if not self._ready or self._working or self._request is not None or not self._waiting:
            return
        names = sorted((self._waiting | self._postponed) & self._known)
        self._waiting.clear()
        self._postponed.clear()
        if self.study.volumeNode is None or not names:
            return
        if self.study.otherFrame:
            self._postponed |= set(names)
            self.waits(self.study)
            text = _("The edited masks are measured as soon as frame {number} is shown again.")
            self.failed(WorkerFailure(text.format(number=self.study.frame + 1), "frame"))
            return
        self._measuring = set(names)
        voxels = Voxels(self.study.volumeNode)  # of this frame, whatever is shown while they are cut out
        self._count += 1
        folder = os.path.join(self._folder, f"measure-{os.getpid()}-{id(self)}-{self._count}")
        if self._context is not None and any(self._isOrgan(name) for name in names):
            self._context = None  # sides and places are told from the organs
        self._work = InSteps(self._cuttingOut(names, folder, voxels), lambda params: self._send(params, names, folder),
                             lambda error: self._refused(error, names, folder))

    def _isOrgan(self, name):
        from uvlm_core.labels import label_named

        return label_named(self._labelOf(name)).kind == "organ"

    def _cuttingOut(self, names, folder, voxels):
        """Writes masks and voxels for the worker; a generator that returns the params of `measure`."""
        os.makedirs(folder, exist_ok=True)
        toVolume = betweenNodes(self.study.segmentationNode, self.study.volumeNode)
        titles = {row["id"]: row["title"] for row in self.study.report.segments}
        segments, empty = [], []
        for number, name in enumerate(names):
            found = yield from cuttingOut(self._segmentation, name, self.shapes.slicesOf(name) or (0, -1))
            if found is None:
                empty.append(name)
                continue
            mask, toRas = found[0], toVolume @ found[1]
            paths = [os.path.join(folder, f"{kind}-{number}.npy") for kind in ("mask", "image")]
            yield from writingArray(mask.view(numpy.uint8), paths[0])
            values = yield from readingValues(voxels, toRas, mask.shape)
            yield from writingArray(values, paths[1])
            segments.append({"id": name, "label": self._labelOf(name), "mask": paths[0], "image": paths[1],
                             "ijk_to_ras": toRas.tolist(),
                             "title": titles.get(name) or self._segmentation.GetSegment(name).GetName()})
        if self._context is None:
            self._context = yield from self._writingContext()
        return {"segments": segments, "context": self._context}, empty

    def _writingContext(self):
        """Every second voxel of all masks as labels.json's numbers; a generator, returns the params' `context`."""
        path = os.path.join(self._folder, f"context-{os.getpid()}-{id(self)}.npy")
        toRas = ijkToRas(self.study.volumeNode) @ numpy.diag([COARSE, COARSE, COARSE, 1.0])
        labels = yield from makingLabelMap(self.study, COARSE)
        yield from writingArray(labels, path)
        return {"labels": path, "ijk_to_ras": toRas.tolist()}

    def _send(self, prepared, names, folder):
        params, empty = prepared
        if not params["segments"]:
            self._took({"segments": [], "measurements": [], "empty": empty}, names, folder)
            return

        def done(result):
            self._took({**result, "empty": [*result.get("empty", []), *empty]}, names, folder)

        self._request = self.client.request("measure", params, done,
                                            lambda failure: self._refused(failure, names, folder),
                                            timeout=MEASURE_SECONDS)

    def _took(self, result, names, folder):
        self._request, self._retried = None, False
        self._measuring.clear()
        shutil.rmtree(folder, ignore_errors=True)
        if self._segmentation is None or not self.study.exists:
            return
        report, drawn = self.study.report, self.study.assigned
        known, there = {row["id"] for row in report.segments}, segmentIds(self._segmentation)
        report.apply_measurements([row for row in result["measurements"] if row["segment"] in known],
                                  [row for row in result["segments"] if row["id"] in known])
        for row in result["segments"]:
            if row["id"] not in known and row["id"] in there:  # it may have been removed meanwhile
                own = [value for value in result["measurements"] if value["segment"] == row["id"]]
                report.segment_added(row["id"], drawn.get(row["id"]) or None, row, own)
        for name in result["empty"]:
            self._removeFromReport(name)
        self.study.saveReport()
        self.measured(self.study, names)
        self.waits(self.study)
        self._next()

    def _removeFromReport(self, name):
        if name in {row["id"] for row in self.study.report.segments}:  # not one that the user drew and nobody named
            self.study.report.segment_removed(name)

    def _refused(self, error, names, folder):
        self._request, failure = None, failureOf(error)
        self._measuring.clear()
        again = failure.kind in TRIED_AGAIN and not self._retried
        (self._waiting if again else self._postponed).update(names)
        self._retried = again
        shutil.rmtree(folder, ignore_errors=True)
        self.failed(failure)
        self.waits(self.study)
        self._next()
