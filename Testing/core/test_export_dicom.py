"""A study as DICOM and FHIR: left is left when it is read back; codes, numbers and references agree."""

from __future__ import annotations

import base64
import json

import highdicom as hd
import numpy as np
import pydicom
import pytest
from editing_study import phantom_study
from pydicom.uid import generate_uid
from test_volumes_dicom import write_multiframe, write_slice
from typer.testing import CliRunner

from uvlm_core.cli import app
from uvlm_core.errors import EditError, StudyError
from uvlm_core.inference.study import write_study
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.dicom_codes import SIDES
from uvlm_core.report.editing import EditableReport
from uvlm_core.report.export_study import export_study
from uvlm_core.report.fhir import diagnostic_report

SEED = 8
# how the series was scanned: axes of the phantom (z, y, x) that are stack, rows, columns; which of them run backwards
SCANS = {"axial": ((0, 1, 2), ()), "axial from above": ((0, 1, 2), (0,)), "coronal": ((1, 0, 2), (1,)),
         "sagittal": ((2, 0, 1), ()), "mirrored columns": ((0, 1, 2), (2,))}


@pytest.fixture(scope="module")
def phantom():
    return make_phantom(SEED, (64, 88, 88))


@pytest.fixture(scope="module")
def study_folder(phantom, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, phantom_study(SEED), phantom.volume)
    return folder


def write_scan(folder, volume, axes=(0, 1, 2), backwards=(), keep=slice(None), **attributes):
    """The volume as a DICOM series whose slices, rows and columns run along any of its axes."""
    array, matrix = volume.array, volume.ijk_to_ras
    steps = [matrix[:3, 2 - axis] * (-1 if axis in backwards else 1) for axis in axes]  # stack, rows, columns; RAS
    corner = [array.shape[axis] - 1 if axis in backwards else 0 for axis in range(3)]
    first = (matrix @ [*corner[::-1], 1])[:3]
    turned = np.flip(array, backwards).transpose(axes)
    lengths = [np.linalg.norm(step) for step in steps]
    lps = np.array([-1, -1, 1])
    frame = generate_uid()
    for k in range(len(turned))[keep]:
        pixels = (turned[k].astype(int) + 1024).astype(np.uint16)
        write_slice(folder / f"{k:03d}.dcm", pixels, (first + steps[0] * k) * lps,
                    orientation=(steps[2] / lengths[2] * lps, steps[1] / lengths[1] * lps),
                    **{"PixelSpacing": [f"{lengths[1]:.6f}", f"{lengths[2]:.6f}"], "FrameOfReferenceUID": frame,
                       "SliceThickness": f"{lengths[0]:.4f}", "InstanceNumber": k + 1, "PatientName": "Doe^Jane",
                       "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.3.4", **attributes})
    return folder


@pytest.fixture(scope="module")
def axial(phantom, study_folder, tmp_path_factory):
    """A folder with `scan`, the usual axial series, and `out`, what was exported with it."""
    folder = tmp_path_factory.mktemp("axial")
    write_scan(folder / "scan", phantom.volume, *SCANS["axial"])
    export_study(study_folder, folder / "scan", folder / "out")
    return folder


def centre_ras(data, number):
    """Centre of a segment in RAS mm, worked out of the file's own headers alone."""
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    shared = data.SharedFunctionalGroupsSequence[0]
    points = []
    for mask, frame in zip(pixels, data.PerFrameFunctionalGroupsSequence, strict=True):
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber != number:
            continue
        position = np.array(frame.PlanePositionSequence[0].ImagePositionPatient, float)
        orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        row_step, column_step = map(float, shared.PixelMeasuresSequence[0].PixelSpacing)
        rows, columns = np.nonzero(mask)
        points.append(position + np.outer(columns * column_step, orientation[:3])
                      + np.outer(rows * row_step, orientation[3:]))
    return np.concatenate(points).mean(0) * [-1, -1, 1]


@pytest.mark.parametrize("scan", SCANS)
def test_masks_lie_where_the_study_has_them(scan, axial, phantom, study_folder, tmp_path):
    out = axial / "out"
    if scan != "axial":
        out = tmp_path / "out"
        export_study(study_folder, write_scan(tmp_path / "scan", phantom.volume, *SCANS[scan]), out)
    data = pydicom.dcmread(out / "segmentation.dcm")
    content = phantom_study(SEED).content
    assert len(data.SegmentSequence) == len(content["segments"])
    sides = {}
    for number, row in enumerate(content["segments"], 1):
        centre = centre_ras(data, number)
        assert np.allclose(centre, row["centroid_ras_mm"], atol=0.1), row["id"]
        item = data.SegmentSequence[number - 1]
        assert (item.SegmentNumber, item.TrackingID) == (number, row["id"])
        code = item.SegmentedPropertyTypeCodeSequence[0]
        assert [code.CodingSchemeDesignator, code.CodeValue, code.CodeMeaning] == row["codes"]["type"]
        modifier = code.get("SegmentedPropertyTypeModifierCodeSequence")
        if row["side"]:
            sides[row["id"]] = row["side"], centre[0]
            assert modifier[0].CodeValue == SIDES[row["side"]][0]
        else:
            assert modifier is None
    lesions = {name: value for name, value in sides.items() if name.rsplit("_", 1)[-1].isdigit()}
    assert lesions and {side for side, _ in sides.values()} >= {"left", "right"}
    assert max(r for side, r in sides.values() if side == "left") < min(
        r for side, r in sides.values() if side == "right")


def test_the_segmentation_refers_to_its_series(axial):
    folder = axial / "scan"
    data = hd.seg.segread(axial / "out" / "segmentation.dcm")
    first = pydicom.dcmread(folder / "000.dcm")
    assert (data.PatientID, str(data.PatientName), data.StudyInstanceUID, data.FrameOfReferenceUID) == (
        first.PatientID, "Doe^Jane", "1.2.3", first.FrameOfReferenceUID)
    assert data.SeriesInstanceUID != first.SeriesInstanceUID and data.Modality == "SEG"
    uids = {pydicom.dcmread(file, stop_before_pixels=True).SOPInstanceUID for file in folder.iterdir()}
    used = {str(item[2]) for item in data.get_source_image_uids()}
    assert used <= uids and len(used) > 30
    number = next(n for n, row in enumerate(phantom_study(SEED).content["segments"], 1) if row["name"] == "liver")
    assert data.get_segment_numbers(tracking_id="liver") == [number]


def measured(report):
    """tracking id -> {name: (value, unit)}, states, side and segment numbers of each group of a TID 1500 report."""
    groups = {}
    for group in report.content.get_volumetric_roi_measurement_groups():
        values = {str(entry.name.meaning): (entry.value, entry.unit.value) for entry in group.get_measurements()}
        states = {str(entry.name.meaning): str(entry.value.meaning) for entry in group.get_qualitative_evaluations()}
        site = group.finding_sites[0]
        numbers = group.referenced_segment.referenced_segment_numbers
        groups[str(group.tracking_identifier)] = (values, states, site.laterality, numbers)
    return groups


def test_measurements_are_those_of_the_study(axial):
    report = hd.sr.srread(axial / "out" / "measurements.dcm")
    masks = pydicom.dcmread(axial / "out" / "segmentation.dcm")
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage" and report.StudyInstanceUID == "1.2.3"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    content = phantom_study(SEED).content
    groups = measured(report)
    lesions = [row for row in content["segments"] if row["kind"] == "lesion"]
    assert lesions and {row["id"] for row in lesions} <= set(groups)
    for row in lesions:
        values, states, side, numbers = groups[row["id"]]
        assert list(numbers) == [content["segments"].index(row) + 1]
        for entry in content["measurements"]:
            if entry["segment"] == row["id"] and entry["code"]:
                assert values[entry["code"][2]] == (pytest.approx(entry["value"], abs=1e-6), entry["ucum"])
        shown = [finding for finding in content["findings"] if row["id"] in finding["segments"]]
        for finding in shown:
            assert values[f"Probability of {finding['name']}"][0] == pytest.approx(finding["probability"])
            assert states[f"State of {finding['name']}"].lower() == finding["state"]
        assert (None if side is None else side.value) == (SIDES[row["side"]][0] if row["side"] else None)
    referenced = {item.ReferencedSOPInstanceUID for series in report.CurrentRequestedProcedureEvidenceSequence
                  for one in series.ReferencedSeriesSequence for item in one.ReferencedSOPSequence}
    assert masks.SOPInstanceUID in referenced


def test_a_part_of_the_series_is_enough_when_the_masks_lie_in_it(phantom, study_folder, tmp_path):
    whole = write_scan(tmp_path / "scan", phantom.volume)
    for path in sorted(whole.iterdir())[:40]:
        path.unlink()
    with pytest.raises(StudyError, match="outside of this series"):
        export_study(study_folder, whole, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["shifted", "stretched", "turned"])
def test_another_series_is_refused(change, phantom, study_folder, tmp_path):
    volume = phantom.volume
    matrix = volume.ijk_to_ras.copy()
    if change == "shifted":
        matrix[0, 3] += 0.3 * volume.spacing[2]
    elif change == "stretched":
        matrix[:3, 0] *= 1.02
    else:
        angle = np.radians(3)
        turn = np.eye(4)
        turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
        matrix = turn @ matrix
    other = type(volume)(volume.array, matrix, volume.name, volume.meta)
    folder = write_scan(tmp_path / "scan", other)
    with pytest.raises(StudyError, match="was not made of this series"):
        export_study(study_folder, folder, tmp_path / "out")


def test_a_series_without_a_frame_of_reference_is_refused(phantom, study_folder, tmp_path):
    folder = write_scan(tmp_path / "scan", phantom.volume, FrameOfReferenceUID="")
    with pytest.raises(StudyError, match="lacks FrameOfReferenceUID"):
        export_study(study_folder, folder, tmp_path / "out")


def test_a_multiframe_series_is_refused(study_folder, tmp_path):
    with pytest.raises(StudyError, match="one multi-frame file"):
        export_study(study_folder, write_multiframe(tmp_path / "enhanced.dcm"), tmp_path / "out")


def test_the_command(phantom, study_folder, tmp_path):
    folder = write_scan(tmp_path / "scan ü", phantom.volume)
    report = EditableReport.from_study(phantom_study(SEED).content)
    report.insert_sentence("impression", "Seen & <signed>.")
    report.sign("Dr A")
    (tmp_path / "edited.json").write_text(report.to_json())
    arguments = ["--dicom", folder, "-o", tmp_path / "out", "--edited", tmp_path / "edited.json"]
    done = CliRunner().invoke(app, ["export-study", str(study_folder), *map(str, arguments)])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "measurements.dcm", "report.fhir.json", "segmentation.dcm"]
    resource = json.loads((tmp_path / "out" / "report.fhir.json").read_text())
    assert resource["status"] == "final" and resource["conclusion"].endswith("Seen & <signed>.")
    assert resource["subject"]["identifier"]["value"] == "P1"
    values = json.loads(report.to_json())
    values["study"]["scan"]["sha256"] = "00"
    (tmp_path / "edited.json").write_text(json.dumps(values))
    with pytest.raises(EditError, match="of another scan"):
        export_study(study_folder, folder, tmp_path / "again", edited=tmp_path / "edited.json")
    assert not (tmp_path / "again").exists()


# ---- FHIR

def references(resource):
    return [entry["reference"][1:] for entry in resource["result"]]


def test_fhir_of_a_study_and_of_an_edited_report():
    content = phantom_study(SEED).content
    resource = diagnostic_report(content)
    assert json.loads(json.dumps(resource)) == resource and resource["status"] == "preliminary"
    assert references(resource) == [entry["id"] for entry in resource["contained"]]
    assert len(set(references(resource))) == len(references(resource))
    states = {entry["code"]["text"]: entry["valueString"] for entry in resource["contained"] if "valueString" in entry}
    for row in content["findings"]:
        assert (row["name"] in states) == (row["state"] in ("present", "absent", "uncertain"))
    report = EditableReport.from_study(content)
    report.override_finding("Emphysema", "present")
    report.sign("Dr A")
    report.add_addendum("Dr B", "A <word> & more.")
    resource = diagnostic_report(content, report)
    assert resource["status"] == "appended" and resource["resultsInterpreter"] == [{"display": "Dr A"}]
    assert {entry["status"] for entry in resource["contained"]} == {"final"}
    emphysema = next(entry for entry in resource["contained"] if entry["code"]["text"] == "Emphysema")
    assert emphysema["valueString"].startswith("present")
    text, page = (base64.b64decode(entry["data"]).decode() for entry in resource["presentedForm"])
    assert text == report.to_text() and page == report.to_html()
    assert "A &lt;word&gt; &amp; more." in resource["text"]["div"] and "RESEARCH USE ONLY" in resource["text"]["div"]


def test_fhir_observations_are_final_as_long_as_what_was_signed_stands():
    content = phantom_study(SEED).content
    report = EditableReport.from_study(content)

    def statuses():
        return {entry["status"] for entry in diagnostic_report(content, report)["contained"]}

    assert statuses() == {"preliminary"} == {row["status"] for row in diagnostic_report(content)["contained"]}
    report.sign("Dr A")
    assert statuses() == {"final"}
    row = next(row for row in content["measurements"] if row["name"] == "longest_diameter")
    report.apply_measurements([{**row, "value": row["value"] + 5}])
    assert statuses() == {"preliminary"}  # nobody has signed this number
    report.add_addendum("Dr B", "Measured again.")
    assert statuses() == {"final"}
    report.start_addendum("Dr C")
    report.override_finding("Emphysema", "present")
    assert statuses() == {"preliminary"}
    report.insert_sentence("addendum_2", "Emphysema.")
    report.sign("Dr C")
    assert statuses() == {"final"}


def test_an_absent_finding_has_no_side_in_fhir():
    report = EditableReport.from_study(phantom_study(SEED).content)
    row = next(row for row in report.findings if row["side"] and row["state"] == "present")
    for state, text in (("absent", "absent"), ("uncertain", f"uncertain, {row['side']}"),
                        ("present", f"present, {row['side']}")):
        report.override_finding(row["name"], state)
        found = diagnostic_report(phantom_study(SEED).content, report)["contained"]
        assert next(entry for entry in found if entry["code"]["text"] == row["name"])["valueString"] == text
