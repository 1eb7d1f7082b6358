"""One study in the scene: report, masks, findings and attribution as nodes that survive saving and loading.

Nodes of one study, all found by node references of the report node, never by name:

    report        vtkMRMLTextNode          the editable report as JSON (uvlm_core.report.editing)
    content       vtkMRMLTextNode, hidden  study.json as the run wrote it
    attribution   vtkMRMLTextNode, hidden  attribution.npz in base64
    masks         vtkMRMLTextNode, hidden  the run's segmentation.nii.gz in base64: what corrections are compared with
    segmentation  vtkMRMLSegmentationNode  segment ids are those of study.json
    findings      vtkMRMLTableNode         for other modules and for reading; the report is what counts
    volume        the volume that was read; it may be deleted without harm to the text
"""

import base64
import importlib
import io
import json
import os

import numpy
import slicer
from slicer.i18n import tr as _

from UVLMReportLib.FindingsNode import fillTable
from UVLMReportLib.Listeners import Listeners
from UVLMReportLib.SegmentationNodes import (
    newSegment,
    orientedImage,
    readingMap,
    segmentIds,
    showKinds,
)
from UVLMReportLib.VolumeInput import frameOf, ijkToRas
from UVLMShared.Bootstrap import makeCoreImportable
from UVLMShared.Removing import removeNode

ROLE = "UVLM.role"
FRAME = "UVLM.frame"  # attribute: number of the sequence's frame that was read
MASKS_EDITED = "UVLM.masksEdited"  # attribute: "1" after the first correction
ASSIGNED = "UVLM.assigned"  # attribute: JSON, ids of segments that the user drew -> finding or ""
VOLUME, SEGMENTATION, TABLE = "UVLM.volume", "UVLM.segmentation", "UVLM.findings"
CONTENT, ATTRIBUTION, MASKS = "UVLM.content", "UVLM.attribution", "UVLM.masks"
OWN_NODES = (SEGMENTATION, TABLE, CONTENT, ATTRIBUTION, MASKS)

_open = {}  # report node -> StudyScene, so that everybody shares one editable report


class StudyScene:
    """A view of one study's nodes. It keeps the report node's id, never a node, so that a closed scene cannot hurt.

    Use `find`, `all` or `creating`; two calls for the same report node give the same object.
    `changed`: Listeners, called with this study after each `saveReport`.
    """

    def __init__(self, reportNodeId):
        self.reportNodeId = reportNodeId
        self._address = None
        self.changed = Listeners()
        self._report, self._reportText, self._reportTime = None, None, None
        self._content, self._attribution = None, None

    # ---- finding

    @classmethod
    def of(cls, reportNode):
        """The study of a report node."""
        key = (reportNode.GetID(), reportNode.__this__)  # a new scene uses old ids again
        if key not in _open:
            for old in [old for old in _open if not _open[old].exists]:
                del _open[old]
            _open[key] = cls(reportNode.GetID())
            _open[key]._address = reportNode.__this__
        return _open[key]

    @classmethod
    def all(cls):
        """All studies of the scene, in the order of their making."""
        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLTextNode")
        nodes = [slicer.mrmlScene.GetNthNodeByClass(number, "vtkMRMLTextNode") for number in range(count)]
        return [cls.of(node) for node in nodes if node.GetAttribute(ROLE) == "report"]

    @classmethod
    def find(cls, volumeNode):
        """The latest study of a volume; None without one."""
        if volumeNode is None:
            return None
        own = [study for study in cls.all() if study.reportNode.GetNodeReferenceID(VOLUME) == volumeNode.GetID()]
        return own[-1] if own else None

    @classmethod
    def forgetAll(cls):
        """After a scene was closed: its studies are gone for good, even if a new scene uses their ids again."""
        for study in _open.values():
            study._address = None
        _open.clear()

    # ---- nodes

    @property
    def reportNode(self):
        node = slicer.mrmlScene.GetNodeByID(self.reportNodeId) if slicer.mrmlScene is not None else None
        return node if node is not None and node.__this__ == self._address else None

    @property
    def exists(self):
        """False once the report node is gone: the scene was closed, or the user deleted it."""
        return self.reportNode is not None

    @property
    def volumeNode(self):
        return self._referenced(VOLUME)

    @property
    def segmentationNode(self):
        return self._referenced(SEGMENTATION)

    @property
    def tableNode(self):
        return self._referenced(TABLE)

    def _referenced(self, role):
        node = self.reportNode
        return node.GetNodeReference(role) if node is not None else None

    @property
    def name(self):
        """Of the volume, or of the report node where that is gone."""
        node = self.volumeNode or self.reportNode
        return node.GetName() if node is not None else ""

    @property
    def masksEdited(self):
        node = self.reportNode
        return node is not None and node.GetAttribute(MASKS_EDITED) == "1"

    @property
    def frame(self):
        """Index from 0 of the sequence's frame that was read; None where the volume showed no sequence."""
        text = self.reportNode.GetAttribute(FRAME) if self.exists else None
        return int(text) if text else None

    @property
    def otherFrame(self):
        """Why the volume is not the frame that was read, a sentence; "" where it is, or is no sequence."""
        if self.frame is None or self.volumeNode is None:
            return ""
        shown = frameOf(self.volumeNode)
        if shown is None:
            return _("The report is of a frame of a sequence that is not in the scene any more, and nothing tells "
                     "which frame the volume shows. Load the sequence again, or generate a new report.")
        if shown[0] == self.frame:
            return ""
        return _("The report is of frame {own} of the sequence '{name}', but frame {shown} is shown. Go back to frame "
                 "{own}: masks are measured, and cases kept and exported, on that.").format(
            own=self.frame + 1, name=shown[2], shown=shown[0] + 1)

    def setMasksEdited(self):
        """Remembers that the masks are no longer those of the run."""
        self.reportNode.SetAttribute(MASKS_EDITED, "1")

    @property
    def assigned(self):
        """{id of a segment that the user drew: name of its finding, "" for none}, as far as it was asked."""
        return json.loads(self.reportNode.GetAttribute(ASSIGNED) or "{}")

    def assign(self, segmentId, finding):
        """Remembers what a drawn segment shows; None: nothing that the report has to name."""
        self.reportNode.SetAttribute(ASSIGNED, json.dumps({**self.assigned, segmentId: finding or ""}))

    # ---- content

    @property
    def content(self):
        """study.json as the run wrote it; never changed."""
        if self._content is None:
            self._content = json.loads(self._referenced(CONTENT).GetText())
        return self._content

    @property
    def report(self):
        """The EditableReport. Change it, then call `saveReport`. A node that was changed otherwise is read again."""
        node = self.reportNode
        if node.GetMTime() != self._reportTime:
            text = node.GetText()
            if text != self._reportText:
                makeCoreImportable()
                from uvlm_core.report.editing import EditableReport

                self._report, self._reportText = EditableReport.from_json(text), text
            self._reportTime = node.GetMTime()
        return self._report

    @property
    def damage(self):
        """Why the report node cannot be read, a sentence; "" where it can."""
        makeCoreImportable()
        from uvlm_core.errors import EditError

        try:
            self.report  # noqa: B018
        except EditError as error:
            return str(error)
        return ""

    def keepReport(self):
        """Puts the report into its node, in less than a millisecond: after every keystroke, because nothing tells that
        the scene is about to be saved."""
        node = self.reportNode
        if node is not None:
            self._reportText = self._report.to_json()
            node.SetText(self._reportText)
            self._reportTime = node.GetMTime()

    def saveReport(self):
        """Puts the report into its node and the table, and tells `changed`; after every change."""
        if not self.exists:
            return
        self.keepReport()
        if self.tableNode is not None:
            fillTable(self.tableNode, self._report)
        self.changed(self)

    def attribution(self):
        """Where the decoder looked: maps (sentences, groups, z, y, x) float16, sentence_ids, stages (deepest first),
        ijk_to_ras 4x4 of the maps in the volume's own RAS; None without."""
        if self._attribution is None:
            node = self._referenced(ATTRIBUTION)
            if node is None:
                return None
            with numpy.load(io.BytesIO(base64.b64decode(node.GetText())), allow_pickle=False) as arrays:
                self._attribution = {"maps": arrays["maps"], "sentence_ids": arrays["sentence_ids"].tolist(),
                                     "stages": arrays["stages"].tolist(), "ijk_to_ras": arrays["ijk_to_ras"]}
        return self._attribution

    def attributionFile(self):
        """The bytes of attribution.npz; None without."""
        node = self._referenced(ATTRIBUTION)
        return base64.b64decode(node.GetText()) if node is not None else None

    def originalMasks(self):
        """The bytes of the run's segmentation.nii.gz; None without."""
        node = self._referenced(MASKS)
        return base64.b64decode(node.GetText()) if node is not None else None

    @property
    def touched(self):
        """True where the user has put work into it: it must not be replaced silently."""
        return self.masksEdited or bool(self.damage) or bool(self.report.changes) or self.report.state != "draft"

    def remove(self):
        """Takes the study's nodes, but not its volume, out of the scene."""
        node = self.reportNode
        if node is None:
            return
        for own in [self._referenced(role) for role in OWN_NODES] + [node]:
            if own is not None:
                removeNode(own)

    # ---- making

    @classmethod
    def creating(cls, volumeNode, studyFolder, segmentMap, frame=None):
        """Puts a finished run into the scene; a generator for InSteps, returns the StudyScene.

        Nothing is added before everything has been read, so a stop leaves the scene as it was. An earlier study of the
        volume is replaced if nobody worked on it, and stays beside the new one otherwise.

        Args:
            studyFolder: path of the study folder (docs/study-schema.md).
            segmentMap: path of a .npy whose voxels of `segments[n]` have the value n + 1 (the run's `segment_map`).
            frame: what `frameOf` said when the volume was read; None where it shows no sequence.
        """
        volumeId = volumeNode.GetID()
        matrix = ijkToRas(volumeNode)
        del volumeNode
        with open(os.path.join(studyFolder, "study.json"), encoding="utf-8") as file:
            text = file.read()
        content = json.loads(text)
        yield
        scalars, shape = yield from readingMap(segmentMap)
        image = orientedImage(scalars, shape, matrix)
        segmentation = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSegmentationNode")
        segmentation.UnRegister(None)
        for number, row in enumerate(content["segments"], 1):
            segment = newSegment(row, number, image, content["findings"])
            segmentation.GetSegmentation().AddSegment(segment, row["id"])
            yield
        attribution = _base64(os.path.join(studyFolder, "attribution.npz"))
        masks = _base64(os.path.join(studyFolder, "segmentation.nii.gz"))
        yield
        yield from importingReport()
        from uvlm_core.report.editing import EditableReport

        report = EditableReport.from_study(content)
        yield
        volume = slicer.mrmlScene.GetNodeByID(volumeId)
        if volume is None:
            return None
        earlier = cls.find(volume)
        if earlier is not None and not earlier.touched:
            earlier.remove()
        yield
        return cls._addNodes(volume, segmentation, report, frame,
                             {CONTENT: text, ATTRIBUTION: attribution, MASKS: masks})

    @classmethod
    def _addNodes(cls, volume, segmentation, report, frame, texts):
        """The last step: everything into the scene at once."""
        scene = slicer.mrmlScene
        segmentation.SetName(scene.GenerateUniqueName(volume.GetName() + " " + _("masks")))
        scene.AddNode(segmentation)
        segmentation.CreateDefaultDisplayNodes()
        showKinds(segmentation, report.segments)
        segmentation.SetAndObserveTransformNodeID(volume.GetTransformNodeID())
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)  # relative to the transforms of both
        name = scene.GenerateUniqueName(volume.GetName() + " " + _("findings"))
        table = scene.AddNewNodeByClass("vtkMRMLTableNode", name)
        node = _textNode(volume.GetName() + " " + _("report"), report.to_json())
        for role, text in texts.items():
            hidden = _textNode(f"{volume.GetName()} {role}", text)
            hidden.SetHideFromEditors(True)
            node.SetNodeReferenceID(role, hidden.GetID())
        node.SetNodeReferenceID(VOLUME, volume.GetID())
        node.SetNodeReferenceID(SEGMENTATION, segmentation.GetID())
        node.SetNodeReferenceID(TABLE, table.GetID())
        if frame is not None:
            node.SetAttribute(FRAME, str(frame[0]))
        node.SetAttribute(ROLE, "report")  # last: from now on it is found
        study = cls.of(node)
        fillTable(table, study.report)
        return study


def importingReport():
    """Imports the editable report in parts; a generator for InSteps. The first time it takes 0.15 s in all."""
    makeCoreImportable()
    for part in ("document", "wording", "labeler", "checks", "editing.rows", "editing.history", "editing.states",
                 "editing.storage", "editing.fields", "editing.layout", "editing.document", "editing.phrases",
                 "editing.text_edits", "editing.mask_edits", "editing.signing", "editing.report"):
        importlib.import_module(f"uvlm_core.report.{part}")
        yield


def drawnSegments(study):
    """Ids of the segments in the scene that the run did not make."""
    known = {row["id"] for row in study.content["segments"]}
    return [name for name in segmentIds(study.segmentationNode.GetSegmentation()) if name not in known]


def _textNode(name, text):
    """A new text node; always stored in a file of its own, because the scene file is not made for megabytes."""
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", slicer.mrmlScene.GenerateUniqueName(name))
    node.SetForceCreateStorageNode(slicer.vtkMRMLTextNode.CreateStorageNodeAlways)
    node.SetText(text)
    return node


def _base64(path):
    with open(path, "rb") as file:
        return base64.b64encode(file.read()).decode("ascii")
