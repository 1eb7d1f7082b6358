"""Masks of other sets on the scan's grid: names, partial labels, lesions over organs, wrong places."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from dataset_folders import blank, mask, phantom, scan

from uvlm_core.datasets.gridding import grid_case, stated_findings
from uvlm_core.datasets.mapping import Mapping, read_mapping
from uvlm_core.datasets.masks import paint, read_target
from uvlm_core.datasets.scan import read_scan
from uvlm_core.datasets.table import Case, CaseTable
from uvlm_core.errors import CaseError
from uvlm_core.labels import IGNORE, REST, label_named
from uvlm_core.model.config import preset
from uvlm_core.volumes.volume import Volume
from uvlm_core.volumes.writing import write_labelmap

PHANTOM = phantom()


def table_of(folder, **values):
    scan(folder / "ct.nii.gz")
    case = Case("a", "ct.nii.gz", **values)
    return CaseTable([case], folder), case


def target_of(folder, mapping=None, **values):
    table, case = table_of(folder, **values)
    return paint(table, case, PHANTOM.volume, mapping or Mapping())


def numbered(folder, numbers: dict[str, int], dtype=np.uint8):
    out = np.zeros(PHANTOM.labels.shape, dtype)
    for name, number in numbers.items():
        out[PHANTOM.labels == label_named(name).id] = number
    image = nibabel.Nifti1Image(out.transpose(2, 1, 0), PHANTOM.volume.ijk_to_ras)
    nibabel.save(image, folder / "labels.nii.gz")
    return "labels.nii.gz"


def voxels(name):
    return PHANTOM.labels == label_named(name).id


def test_a_lesion_lies_over_its_organ_whatever_the_order(tmp_path):
    wide = np.isin(PHANTOM.labels, [label_named("lung_upper_lobe_right").id, label_named("consolidation").id])
    write_labelmap(tmp_path / "lobe.nii.gz", wide.astype(np.uint8), PHANTOM.volume)
    mask(tmp_path / "lesion.nii.gz", "consolidation")
    files = {"consolidation": ["lesion.nii.gz"], "lung_upper_lobe_right": ["lobe.nii.gz"]}
    for order in (list(files), list(files)[::-1]):
        target = target_of(tmp_path, masks={name: files[name] for name in order})
        assert np.array_equal(target.map == label_named("consolidation").id, voxels("consolidation"))
        assert target.known == ["lung_upper_lobe_right", "consolidation"]


def test_label_maps_with_gaps_large_values_and_unnamed_ones(tmp_path):
    labels = numbered(tmp_path, {"liver": 300, "heart": 7, "spleen": 9}, np.int16)
    target = target_of(tmp_path, labels=labels, label_names={300: "liver", 7: "heart"})
    assert target.unnamed == [9] and target.known == ["heart", "liver"]
    assert (target.map[voxels("liver")] == label_named("liver").id).all()
    assert (target.map[voxels("spleen")] == IGNORE).all()
    assert (target.map[voxels("aorta")] == REST).all()


def test_a_scan_given_as_label_map_is_refused(tmp_path):
    scan(tmp_path / "ct2.nii.gz")
    with pytest.raises(CaseError, match="the scan itself"):
        target_of(tmp_path, labels="ct2.nii.gz", label_names={1: "liver"})


def test_without_masks_nothing_is_known(tmp_path):
    target = target_of(tmp_path)
    assert (target.map == IGNORE).all() and target.known == []


def test_a_mapping_file_joins_names_and_leaves_out(tmp_path):
    path = tmp_path / "names.json"
    path.write_text(json.dumps({"labels": {"ours": {"Tumour 1": "liver_lesion", "heart": None}, "*": {"HU": "heart"}},
                                "partly": {"ours": ["liver"]}, "findings": {"*": {"Herd": "Lung nodule"}}}), "utf-8")
    mapping = read_mapping(path)
    assert mapping.label("tumour-1", "ours") == "liver_lesion" and mapping.label("heart", "ours") is None
    assert mapping.label("heart", "theirs") == "heart" and mapping.label("hu", "theirs") == "heart"
    assert mapping.finding("herd") == "Lung nodule" and mapping.finding("weather") is None
    case = Case("a", source="ours", masks={"liver": ["x"], "Tumour 1": ["y"]})
    assert mapping.annotated(case) == ["liver_lesion"]


@pytest.mark.parametrize(("text", "words"), [
    ("{", "not JSON"), ("[]", "parts labels"), ('{"lables": {}}', "lables"),
    ('{"labels": {"*": {"a": "gallbladder"}}}', "gallbladder, which UVLM does not have"),
    ('{"findings": {"*": {"a": "Nodule"}}}', "Nodule"), ('{"labels": {"*": []}}', "must be an object"),
    ('{"partly": {"*": ["leg"]}}', "leg, which UVLM does not have"),
    ('{"labels": ["a"]}', r"names.json: 'labels' must be an object of source -> .*; found \["),
    ('{"labels": {"*": {"a": ["liver"]}}}', r"labels of '\*', 'a', must be a text; found \[\"liver\"\]"),
    ('{"labels": {"*": {"a": 3}}}', "must be a text; found 3"),
    ('{"findings": null}', "'findings' must be an object of source .*; found null"),
    ('{"partly": []}', "'partly' must be an object of source -> a list of labels; found"),
    ('{"partly": {"*": "bowel"}}', "partly of .* must be a list of labels; found"),
    ('{"partly": {"*": ["liver", null]}}', "'2', must be a text; found null")])
def test_a_wrong_mapping_is_refused_by_name(text, words, tmp_path):
    (tmp_path / "names.json").write_text(text, "utf-8")
    with pytest.raises(CaseError, match=words):
        read_mapping(tmp_path / "names.json")
    with pytest.raises(CaseError, match="cannot be read"):
        read_mapping(tmp_path / "absent.json")


def test_a_mask_in_another_place_is_refused_unless_voxels_count(tmp_path):
    matrix = PHANTOM.volume.ijk_to_ras.copy()
    matrix[0, 3] += 3 * PHANTOM.volume.spacing[2]
    write_labelmap(tmp_path / "m.nii.gz", voxels("liver").astype(np.uint8), Volume(PHANTOM.volume.array, matrix))
    table, case = table_of(tmp_path, masks={"liver": ["m.nii.gz"]})
    with pytest.raises(CaseError, match="up to 3 voxels beside"):
        read_target(table, case, PHANTOM.volume, Mapping())
    target = read_target(table, case, PHANTOM.volume, Mapping(), same_voxels=True)
    assert np.array_equal(target.map == label_named("liver").id, voxels("liver"))
    # a header that says nothing contradicts nothing
    blank(tmp_path / "m.nii.gz", voxels("liver").astype(np.uint8))
    assert read_target(table, case, PHANTOM.volume, Mapping()).shifted == {}


def test_a_finding_that_its_mask_file_does_not_hold(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((2, 64, 64, 48), np.uint8), np.eye(4)), tmp_path / "m.nii.gz")
    with pytest.raises(CaseError, match="holds 2 findings"):
        target_of(tmp_path, masks={"lung_nodule": ["m.nii.gz#2"]})
    with pytest.raises(CaseError, match="There is no file"):
        target_of(tmp_path, masks={"lung_nodule": ["absent.nii.gz#0"]})


def test_stored_values_that_are_hu_already_are_left_alone(tmp_path):
    """A blank header with HU in it: the metadata's intercept must not be taken off twice."""
    blank(tmp_path / "ct.nii.gz", PHANTOM.volume.array.clip(-1024))
    case = Case("a", "ct.nii.gz", spacing=PHANTOM.volume.spacing, rescale=(1, -1024))
    volume = read_scan(CaseTable([case], tmp_path), case)
    assert np.array_equal(volume.array, PHANTOM.volume.array.clip(-1024))


def test_a_tilted_direction_of_the_metadata_is_used(tmp_path):
    blank(tmp_path / "ct.nii.gz", PHANTOM.volume.array)
    case = Case("a", "ct.nii.gz", spacing=(8.0, 6.0, 6.0), direction=(-1, 0, 0, 0, -1, 0))  # prone
    volume = read_scan(CaseTable([case], tmp_path), case)
    assert np.allclose(volume.ijk_to_ras[:3, :3], np.diag([6.0, 6.0, 8.0]))


def test_facts_on_the_grid(tmp_path):
    """Present findings from the table, from complete masks, else unknown; sides from masks and from the text."""
    mask(tmp_path / "c.nii.gz", "consolidation")
    mask(tmp_path / "n.nii.gz", "lung_nodule")
    mask(tmp_path / "r.nii.gz", "lung_upper_lobe_right")
    files = {"consolidation": ["c.nii.gz"], "lung_nodule": ["n.nii.gz"], "lung_upper_lobe_right": ["r.nii.gz"]}
    table, case = table_of(
        tmp_path, masks=files, findings={"Emphysema": 1, "Atelectasis": 0},
        report="Lungs: Consolidation in the right upper lobe. Emphysema in the left lung. No atelectasis.")
    image, target, matrix, facts = grid_case(table, case, Mapping(), preset("demo").grid)
    assert image.dtype == np.int16 and image.shape == target.shape and matrix.shape == (4, 4)
    present = facts["present"]
    assert [present[name] for name in ("Consolidation", "Lung nodule", "Emphysema", "Atelectasis")] == [1, 0, 1, 0]
    assert np.isnan(present["Hiatal hernia"])
    planted = {row["name"]: row for row in facts["planted"]}
    assert set(planted) == {"Consolidation", "Emphysema"}
    assert planted["Consolidation"]["size_mm"] > 0 and planted["Consolidation"]["place"] == "right upper lobe"
    assert planted["Emphysema"]["side"] == "left" and planted["Emphysema"]["size_mm"] is None
    assert "lungs" in facts["imaged"] and facts["text"] == case.report
    json.dumps(facts)


def test_stated_findings_are_those_said_to_be_present():
    rows = stated_findings("A 12 mm nodule in the left lower lobe. No effusion. Possible emphysema.")
    assert [(row["name"], row["side"], row["size_mm"]) for row in rows] == [("Lung nodule", "left", 12)]
