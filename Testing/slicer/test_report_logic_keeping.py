"""What the module keeps and exports is read by the core: as training cases, and as studies of the documented schema."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from panel_study import make_case, write_study_folder

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "UVLMReport"))


@pytest.fixture()
def kept(scene, app, tmp_path):
    """(case folder, exported study folder, corrected labels, phantom) of a corrected and signed study."""
    import slicer
    from UVLMReportLib.JourneyScene import drained, drawBall, eraseHalf
    from UVLMReportLib.LabelMaps import makingLabelMap
    from UVLMReportLib.ReportLogic import ReportLogic
    from UVLMReportLib.SegmentationNodes import vtkMatrix
    from UVLMReportLib.StudyScene import StudyScene

    case = make_case()
    write_study_folder(tmp_path / "study", case)
    volume = slicer.util.addVolumeFromArray(np.ascontiguousarray(case.volume.array),
                                            vtkMatrix(case.volume.ijk_to_ras), "CT / Müller")
    study = drained(StudyScene.creating(volume, str(tmp_path / "study"), str(tmp_path / "study" / "segments.npy")))
    logic = ReportLogic()
    try:
        assert app.processUntil(lambda: not logic.masksPending(study))
        asked, cases, studies, failures = [], [], [], []
        logic.segmentAdded.connect(lambda made, name: asked.append(name))
        eraseHalf(study.segmentationNode, "liver")
        drawBall(study.segmentationNode, volume, "drawn", (40, 30, 30), 4)
        assert app.processUntil(lambda: asked)
        logic.assignSegment(study, asked[0], "Lung nodule")
        assert app.processUntil(lambda: study.report.offers, 120)
        drawBall(study.segmentationNode, volume, "missed", (60, 20, 20), 3)
        assert app.processUntil(lambda: len(asked) == 2)
        logic.assignOrgan(study, asked[1], "pancreas")
        assert app.processUntil(lambda: asked[1] in {row["id"] for row in study.report.segments}, 120)
        study.report.accept_offer(study.report.offers[0].id)
        study.report.override_finding("Lung nodule", "present")
        study.report.sign("Reader")
        study.saveReport()
        logic.keepTrainingCase(study, str(tmp_path / "kept"), cases.append, failures.append)
        logic.exportStudy(study, str(tmp_path / "export"), studies.append, failures.append)
        assert app.processUntil(lambda: len(cases) + len(studies) + len(failures) == 2, 120)
        assert [str(failure) for failure in failures] == []
        yield Path(cases[0]), Path(studies[0]), drained(makingLabelMap(study)), case
    finally:
        logic.shutdown()


def test_kept_case_and_exported_study_are_read(kept):
    import jsonschema

    from uvlm_core.datasets.importers import kept_cases
    from uvlm_core.datasets.layout import ImportOptions
    from uvlm_core.inference.study import read_study
    from uvlm_core.labels import label_named

    folder, exported, labels, phantom = kept
    rows = list(kept_cases.cases(folder.parent, ImportOptions()))
    assert len(rows) == 1
    row = rows[0]
    assert row.case_id == folder.name and "M_ller" in folder.name
    assert row.findings["Lung nodule"] == 1 and "nodule" in row.report.lower()

    image = nibabel.load(folder / "image.nii.gz")
    assert (np.asarray(image.dataobj).transpose() == phantom.volume.array).all()
    np.testing.assert_allclose(image.affine, phantom.volume.ijk_to_ras, atol=1e-4)
    corrected = np.asarray(nibabel.load(folder / "labels_corrected.nii.gz").dataobj).transpose()
    original = np.asarray(nibabel.load(folder / "labels_original.nii.gz").dataobj).transpose()
    assert (corrected == labels).all()
    assert (original == phantom.labels).all()
    assert corrected[60, 20, 20] == label_named("pancreas").id  # an organ that the reader drew
    liver, nodule = label_named("liver").id, label_named("lung_nodule").id
    assert 0 < (corrected == liver).sum() < 0.6 * (original == liver).sum()
    assert corrected[40, 30, 30] == nodule != original[40, 30, 30]

    study = read_study(exported)
    schema = json.loads((ROOT / "Resources" / "Schemas" / "study.schema.json").read_text("utf-8"))
    provenance = schema["properties"]["provenance"]
    provenance["required"] = ["edited"]  # the phantom's study has no model behind it
    jsonschema.validate(study.content, schema)
    assert study.content["provenance"]["edited"]["signed_by"] == "Reader"
    assert (study.labels == labels).all()
    for name in ("report.html", "report.txt"):
        text = (exported / name).read_text("utf-8")
        assert "research use only" in text.lower()
        assert "UVLM signed report" in text and "report draft" not in text.lower()
    page = (exported / "report.html").read_text("utf-8")
    assert "UVLM signed report</title>" in page and "<h1>Signed report</h1>" in page and "Signed by Reader, " in page
    assert "signed by Reader" in " ".join((exported / "report.txt").read_text("utf-8").split())
