"""A reader in UVLMReport on the test harness: has reports generated, corrects masks, findings and text to what is true,
signs, and keeps the cases for training."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / name) for name in ("Testing", "UVLMReport", "UVLMTrain", "")]

import harness  # noqa: E402

slicer = harness.start()

from UVLMReportLib.JourneyScene import waitFor  # noqa: E402
from UVLMReportLib.ReportLogic import ReportLogic  # noqa: E402
from UVLMReportLib.SegmentationNodes import TAG_LABEL, imageArray, layersOf, tagOf, vtkMatrix  # noqa: E402

from uvlm_core.labels import findings, labels, regions  # noqa: E402
from uvlm_core.phantom.case import PhantomCase  # noqa: E402
from uvlm_core.report.editing.flags import FIELD_OF_VIEW  # noqa: E402

LONGEST_WAIT = 900.0  # seconds


class CorrectingReader:
    """Works on one case after the other; `close` ends the worker.

    Args:
        bundle: folder of the model that generates.
    """

    def __init__(self, bundle: Path) -> None:
        self.bundle, self.logic, self.failures = str(Path(bundle).absolute()), ReportLogic(), []
        self.logic.runFailed.connect(self.failures.append)
        self.logic.failed.connect(self.failures.append)

    def close(self) -> None:
        """Ends worker and scene."""
        slicer.mrmlScene.Clear(0)
        self.logic.shutdown()

    def keep(self, case: PhantomCase, folder: Path) -> Path:
        """The whole work on one case; the new folder below `folder`.

        Raises:
            RuntimeError: a step failed. AssertionError: it did not come in time.
        """
        study = self._generated(case)
        replace_masks(self.logic, study, case.labels)
        self._until(lambda: not self.logic.masksPending(study), "what the masks measure")
        overrule_findings(study.report, case.present)
        replace_text(study.report, case.report())
        study.report.sign("Reader")
        study.saveReport()
        kept: list[str] = []
        self.logic.keepTrainingCase(study, str(folder), kept.append, self.failures.append)
        self._until(lambda: kept, "the kept case")
        slicer.mrmlScene.Clear(0)
        return Path(kept[0])

    def _generated(self, case: PhantomCase):
        volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array),
                                                vtkMatrix(case.volume.ijk_to_ras), case.volume.name)
        made: list = []
        self.logic.studyMade.connect(made.append)
        self.logic.generate(volume, self.bundle)
        self._until(lambda: made, "the report")
        self.logic.studyMade.disconnect(made.append)
        self._until(lambda: not self.logic.masksPending(made[0]), "a look at the masks")
        return made[0]

    def _until(self, condition, what: str) -> None:
        waitFor(lambda: condition() or self.failures, LONGEST_WAIT, what)
        if self.failures:
            raise RuntimeError(f"{what}: {self.failures[0]}")


def replace_masks(logic: ReportLogic, study, truth: np.ndarray) -> None:
    """Redraws each label as it is: in the segment that shows it already (the first of several lesions; the others are
    erased), or in a new one where the model missed it, which is then named.

    Args:
        truth: (Z, Y, X) label map on the volume's grid.
    """
    segmentation = study.segmentationNode.GetSegmentation()
    [(image, values)] = layersOf(segmentation)
    shown = {tagOf(segmentation.GetSegment(name), TAG_LABEL): value for value, name in sorted(values.items())[::-1]}
    redrawn = np.zeros(256, np.uint8)
    for label in labels():
        redrawn[label.id] = shown.get(label.name, 0)
    imageArray(image)[...] = redrawn[truth]
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    for label in labels():
        if label.name not in shown and (truth == label.id).any():
            _draw(logic, study, label, truth == label.id)


def _draw(logic: ReportLogic, study, label, mask: np.ndarray) -> None:
    """A new segment, as with the Segment Editor; a lesion's finding is told as the panel asks for it."""
    node = study.segmentationNode
    name = node.GetSegmentation().AddEmptySegment("", label.title)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask.astype(np.uint8), node, name, study.volumeNode)
    if label.kind == "lesion":
        shows = next(finding.name for finding in findings() if finding.label == label.name)
        logic.assignSegment(study, name, shows)
    else:  # the panel asks for findings only
        study.assign(name, None)
        node.GetSegmentation().GetSegment(name).SetTag(TAG_LABEL, label.name)


def overrule_findings(report, present: dict[str, int]) -> None:
    """States every finding that the model assesses."""
    for row in report.findings:
        if row["state"] != "not assessed":
            report.override_finding(row["name"], "present" if present[row["name"]] else "absent")


def replace_text(report, text: str) -> None:
    """Removes every sentence of the model and writes those of the true report.

    Args:
        text: lines "Title: sentences".
    """
    names = {title: name for name, title in regions().items()} | {"Impression": "impression"}
    for sentence in report.sentences:
        if sentence.section != FIELD_OF_VIEW:
            report.remove_sentence(sentence.id)
    for line in text.splitlines():
        title, sentences = line.split(": ", 1)
        report.insert_sentence(names[title], sentences)
