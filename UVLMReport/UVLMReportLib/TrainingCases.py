"""Keeps a corrected study as a training case: a folder of its own that is never overwritten (docs/datasets.md).

The worker writes it: packing a scan takes seconds, which would stop the window.
"""

import os
import re
import shutil
import uuid
from datetime import UTC, datetime

from slicer.i18n import tr as _

from UVLMReportLib.LabelMaps import makingLabelMap
from UVLMReportLib.VolumeInput import Voxels, writing, writingArray
from UVLMReportLib.WorkerClient import WorkerFailure, failureOf

GONE = _("The volume or the masks of this report were deleted; without them it cannot be written. Load the scan again "
         "and generate a new report.")


def keep(logic, study, folder, done, failed):
    """Starts to write `study` as a new case below `folder`; returns at once.

    Args:
        done: called with the path of the new case folder. failed: with a WorkerFailure; nothing half-written stays.
    """
    caseId = _caseId(study)
    out = os.path.join(folder, caseId)

    def params(prepared):
        from uvlm_core.report.editing import training_text

        files = {name: prepared[name] for name in ("volume", "labels", "original")}
        return {**files, "out": out, "report": training_text(study.report), "case": caseOf(study, caseId)}

    send(logic, study, "keep_case", params, lambda result: done(result["case"]), failed)


def send(logic, study, method, params, done, failed):
    """Writes scan, original and corrected masks for the worker, sends a job, and removes them again.

    Args:
        params: called with {"volume", "labels", "original", "attribution"}; gives the params of the job.
    """
    if study.volumeNode is None or study.segmentationNode is None:
        failed(WorkerFailure(GONE, "deleted"))
        return
    if study.otherFrame:
        failed(WorkerFailure(study.otherFrame, "frame"))
        return
    scratch = os.path.join(logic.folder, f"write-{uuid.uuid4().hex[:8]}")

    def end(function, value):
        shutil.rmtree(scratch, ignore_errors=True)
        function(value)

    def written(prepared):
        logic.worker.request(method, params(prepared), lambda result: end(done, result),
                             lambda failure: end(failed, failure))

    voxels = Voxels(study.volumeNode)  # of this frame, whatever is shown while they are written
    logic.inSteps(preparing(study, voxels, scratch), written, lambda error: end(failed, failureOf(error)))


def preparing(study, voxels, scratch):
    """Writes what the worker needs into the folder `scratch`; a generator for InSteps, returns params for it."""
    os.makedirs(scratch, exist_ok=True)
    volume = yield from writing(voxels, os.path.join(scratch, "volume.npy"))
    if study.volumeNode is None or study.segmentationNode is None:
        raise WorkerFailure(GONE, "deleted")
    labels = yield from makingLabelMap(study)
    paths = {name: os.path.join(scratch, name) for name in ("labels.npy", "original.nii.gz", "attribution.npz")}
    yield from writingArray(labels, paths["labels.npy"])
    for name, content in (("original.nii.gz", study.originalMasks()), ("attribution.npz", study.attributionFile())):
        if content is not None:
            with open(paths[name], "wb") as file:
                file.write(content)
        yield
    return {"volume": volume, "labels": paths["labels.npy"], "original": paths["original.nii.gz"],
            "attribution": paths["attribution.npz"]}


def caseOf(study, caseId):
    """case.json of a kept case: where it came from."""
    from uvlm_core.labels import labels

    content = study.content
    return {"schema": "uvlm-kept-case/1", "case_id": caseId, "patient": _patient(study.volumeNode),
            "kept": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
            "labels": {str(label.id): label.name for label in labels()}, "reviewed_labels": None,
            "scan": content["scan"], "provenance": content["provenance"]}


def _caseId(study):
    """A name that no other case has: time, name of the scan, and four random digits."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", study.name).strip("._-")[:40] or "case"
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{plain}-{uuid.uuid4().hex[:4]}"


def _patient(volumeNode):
    """First 16 digits of the sha256 of the DICOM PatientID; "" where it is not known."""
    import hashlib

    import slicer

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volumeNode) if hierarchy is not None else 0
    identity = hierarchy.GetAttributeFromItemAncestor(item, "DICOM.PatientID") if item else ""
    return hashlib.sha256(identity.encode("utf-8")).hexdigest()[:16] if identity else ""
