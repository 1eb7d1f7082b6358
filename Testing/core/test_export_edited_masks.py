"""DICOM of a study whose masks were edited: every segment has the voxels that its row was measured of."""

from __future__ import annotations

from dataclasses import replace

import highdicom as hd
import numpy as np
import pydicom
import pytest
from editing_study import phantom_study
from scipy import ndimage
from test_export_dicom import centre_ras, measured, write_scan

from uvlm_core.errors import StudyError
from uvlm_core.inference.content import measurement_rows, segment_rows
from uvlm_core.inference.keeping import export_study as export_folder
from uvlm_core.labels import label_named
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.report.cutouts import Context, measure_cutout
from uvlm_core.report.dicom_codes import SIDES
from uvlm_core.report.edited_study import edited_content
from uvlm_core.report.editing import EditableReport
from uvlm_core.report.export_study import export_study

SEED = 47  # its largest nodule lies in the right lung, the second in the left one
NODULE = label_named("lung_nodule")
RIGHT, LEFT = "lung_nodule_1", "lung_nodule_2"


@pytest.fixture(scope="module")
def volume():
    return make_phantom(SEED, (64, 88, 88)).volume


@pytest.fixture
def masks():
    """id -> bool mask of each nodule, as a segmentation in the scene has them."""
    study = phantom_study(SEED)
    parts, _ = ndimage.label(study.labels == NODULE.id, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:]
    rows = [row for row in study.segments if row["name"] == "lung_nodule"]
    assert [(row["id"], row["side"]) for row in rows[:2]] == [(RIGHT, "right"), (LEFT, "left")]
    return {row["id"]: parts == part for row, part in zip(rows, np.argsort(-sizes) + 1, strict=False)}


def shrunk(mask, voxels):
    """The voxels nearest to the middle."""
    places = np.argwhere(mask)
    kept = places[np.argsort(((places - places.mean(0)) ** 2).sum(1))[:voxels]]
    result = np.zeros_like(mask)
    result[tuple(kept.T)] = True
    return result


def cut_through(mask):
    """Without its middle columns: two parts."""
    result, x = mask.copy(), np.argwhere(mask)[:, 2]
    result[:, :, round(x.mean())] = False
    return result


def free_place():
    """The middle of the liver, which has no other lesions."""
    labels = phantom_study(SEED).labels
    return (int(value) for value in np.argwhere(labels == label_named("liver").id).mean(0).round())


def edited_study(folder, volume, masks, new=()):
    """The study folder that Slicer would write: each mask measured by itself, under its own id, in the old order."""
    study = phantom_study(SEED)
    labels = np.where(study.labels == NODULE.id, label_named("lung_upper_lobe_left").id, study.labels)
    for mask in masks.values():
        labels[mask] = NODULE.id
    report = EditableReport.from_study(study.content)
    for name, mask in masks.items():
        segment = measure_cutout(name, NODULE, mask, volume.array, volume.ijk_to_ras,
                                 Context(study.labels, volume.ijk_to_ras))
        row = segment_rows([replace(segment, id=name)], set())[0]
        if name in new:
            report.segment_added(name, "Lung nodule", row, measurement_rows(segment))
        else:
            report.apply_measurements(measurement_rows(segment), [row])
    content = edited_content(study.content, report)
    export_folder(folder, volume, labels, content, None)
    return content


def check_export(folder, volume, masks, new=()):
    """Exports the edited study and compares centre, side and volume of each nodule with its mask."""
    content = edited_study(folder / "study", volume, masks, new)
    write_scan(folder / "scan", volume)
    export_study(folder / "study", folder / "scan", folder / "out")
    data = pydicom.dcmread(folder / "out" / "segmentation.dcm")
    groups = measured(hd.sr.srread(folder / "out" / "measurements.dcm"))
    segments = {item.TrackingID: item for item in data.SegmentSequence}
    pixels = data.pixel_array.reshape(-1, data.Rows, data.Columns)
    for name, mask in masks.items():
        item = segments[name]
        frames = [frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == item.SegmentNumber
                  for frame in data.PerFrameFunctionalGroupsSequence]
        assert pixels[frames].sum() == mask.sum(), name
        z, y, x = np.argwhere(mask).mean(0)
        np.testing.assert_allclose(centre_ras(data, item.SegmentNumber), (volume.ijk_to_ras @ [x, y, z, 1])[:3],
                                   atol=0.1, err_msg=name)
        row = next(row for row in content["segments"] if row["id"] == name)
        side = item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0]
        assert side.CodeValue == SIDES[row["side"]][0] == groups[name][2].value
        assert groups[name][0]["Volume"][0] == pytest.approx(mask.sum() * volume.voxel_volume_ml, abs=1e-3)


def test_a_nodule_that_was_shrunk_below_the_other_keeps_its_side(volume, masks, tmp_path):
    masks[RIGHT] = shrunk(masks[RIGHT], int(masks[LEFT].sum() * 0.6))
    check_export(tmp_path, volume, masks)


def test_nodules_of_one_size_keep_their_sides(volume, masks, tmp_path):
    masks[RIGHT] = shrunk(masks[RIGHT], int(masks[LEFT].sum()))
    check_export(tmp_path, volume, masks)


def test_both_parts_of_a_nodule_that_was_cut_through_are_its_own(volume, masks, tmp_path):
    masks[RIGHT] = cut_through(masks[RIGHT])
    assert ndimage.label(masks[RIGHT], np.ones((3, 3, 3)))[1] == 2
    check_export(tmp_path, volume, masks)


def test_a_nodule_between_the_parts_of_another_is_not_taken_by_it(volume, masks, tmp_path):
    z, y, x = free_place()
    both, between = np.zeros_like(masks[RIGHT]), np.zeros_like(masks[RIGHT])
    both[z - 2 : z + 2, y - 2 : y + 2, x - 8 : x - 4] = True
    both[z - 2 : z + 2, y - 2 : y + 2, x + 4 : x + 8] = True
    between[z - 1 : z + 1, y - 1 : y + 1, x - 1 : x + 1] = True
    check_export(tmp_path, volume, {**masks, RIGHT: both, "lung_nodule_9": between}, new=["lung_nodule_9"])


def test_two_nodules_that_were_both_cut_through_in_one_place(volume, masks, tmp_path):
    z, y, x = free_place()
    outer, inner = np.zeros_like(masks[RIGHT]), np.zeros_like(masks[RIGHT])
    for mask, place in ((outer, x - 10), (outer, x - 6), (inner, x + 1), (inner, x + 5)):
        mask[z - 2 : z + 2, y - 2 : y + 2, place : place + 2] = True
    outer[z - 6, y, x - 10 : x + 8] = True  # a long line makes the box of the first hold the second
    check_export(tmp_path, volume, {**masks, RIGHT: outer, "lung_nodule_9": inner}, new=["lung_nodule_9"])


def test_masks_that_touch_are_refused(volume, masks, tmp_path):
    z, y, x = free_place()
    first, second = np.zeros_like(masks[RIGHT]), np.zeros_like(masks[RIGHT])
    first[z : z + 3, y : y + 3, x - 3 : x] = True
    second[z : z + 3, y : y + 3, x : x + 2] = True
    edited_study(tmp_path / "study", volume, {**masks, RIGHT: first, "lung_nodule_9": second}, ["lung_nodule_9"])
    write_scan(tmp_path / "scan", volume)
    with pytest.raises(StudyError, match=r"lung_nodule_\d\) has .* ml in the segmentation and .* ml in study.json"):
        export_study(tmp_path / "study", tmp_path / "scan", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_mask_that_is_not_there_or_elsewhere_is_refused(volume, masks, tmp_path):
    from uvlm_core.inference.segment_map import segment_map

    study = phantom_study(SEED)
    gone = np.where(study.labels == NODULE.id, 0, study.labels).astype(np.uint8)
    with pytest.raises(StudyError, match=r"has 0\.000 ml in the segmentation"):
        segment_map(gone, study.segments, volume.ijk_to_ras)
    mirrored = [{**row, "bbox_ras_mm": other["bbox_ras_mm"], "centroid_ras_mm": other["centroid_ras_mm"]}
                for row in study.segments for other in study.segments
                if other["id"] == {RIGHT: LEFT, LEFT: RIGHT}.get(row["id"], row["id"])]
    with pytest.raises(StudyError, match=r"\(lung_nodule_1\)"):
        segment_map(study.labels, mirrored, volume.ijk_to_ras)


def test_a_fresh_study_is_told_apart_alike_by_size_and_by_place(volume):
    from uvlm_core.inference.segment_map import segment_map

    study = phantom_study(SEED)
    assert np.array_equal(segment_map(study.labels, study.segments),
                          segment_map(study.labels, study.segments, volume.ijk_to_ras))
    speckled = study.labels.copy()  # too small for a row, in the box of a large mask
    z, y, x = np.argwhere(study.labels == NODULE.id)[0]
    low = np.argwhere(study.labels == label_named("liver").id)[0]
    speckled[tuple(low)] = NODULE.id
    expected = segment_map(speckled, study.segments)
    assert np.array_equal(segment_map(speckled, study.segments, volume.ijk_to_ras), expected)
    assert expected[tuple(low)] == 0 and expected[z, y, x] > 0
