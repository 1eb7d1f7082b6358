"""Phantoms: the same seed gives the same case, and masks, labels and text agree."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest
from scipy import ndimage

from uvlm_core.errors import CaseError
from uvlm_core.labels import label_named
from uvlm_core.phantom import generator
from uvlm_core.phantom.case import planted_findings
from uvlm_core.phantom.generator import make_phantom
from uvlm_core.phantom.insertion import insert_findings
from uvlm_core.phantom.lesions import DRAWN, draw_findings
from uvlm_core.phantom.scene import Scene
from uvlm_core.phantom.sides import swap_sides
from uvlm_core.phantom.table import write_cases
from uvlm_core.report.document import split_sentences
from uvlm_core.report.labeler import label_report, label_sentence
from uvlm_core.volumes.volume import Volume

SMALL = (64, 88, 88)


@pytest.fixture(scope="module")
def cases():
    return [make_phantom(seed, SMALL) for seed in range(40, 52)]


def test_the_same_seed_gives_the_same_bytes(cases):
    again = make_phantom(40, SMALL)
    assert again.volume.array.tobytes() == cases[0].volume.array.tobytes()
    assert again.labels.tobytes() == cases[0].labels.tobytes()
    assert again.report() == cases[0].report()
    assert make_phantom(41, SMALL).volume.array.tobytes() != again.volume.array.tobytes()


def test_labels_masks_and_text_agree(cases):
    for case in cases:
        for name, value in case.present.items():
            label = {planted.name: planted.label for planted in case.findings}.get(name)
            assert value == (label is not None)
            if value:
                assert (case.labels == label_named(label).id).any()
        for wording in range(6):
            assert label_report(case.report(wording)) == case.present


def test_sides_and_sizes_of_the_text_are_those_of_the_masks(cases):
    counted = 0
    for case in cases:
        text = case.report(1)
        for begin, end in split_sentences(text):
            for mention in label_sentence(text[begin:end]):
                own = [planted for planted in case.findings if planted.name == mention.finding]
                if mention.state != "present" or not own:
                    continue
                if mention.side in ("left", "right"):
                    assert mention.side in {planted.side for planted in own}
                if mention.size_mm is not None:
                    counted += 1
                    assert min(abs(planted.size_mm - mention.size_mm) for planted in own if planted.size_mm) <= 0.51
    assert counted >= 5


def test_left_is_where_x_points_to_the_left(cases):
    """RAS: the patient's left has the smaller R coordinate."""
    for case in cases:
        left, right = (np.argwhere(case.labels == label_named(name).id) for name in ("kidney_left", "kidney_right"))
        if len(left) > 50 and len(right) > 50:
            matrix = case.volume.ijk_to_ras
            assert (matrix @ [*left.mean(0)[::-1], 1])[0] < (matrix @ [*right.mean(0)[::-1], 1])[0]


@pytest.mark.parametrize("seed", range(60, 66))
def test_soft_organs_make_way_for_kidneys_and_pancreas(seed):
    case = make_phantom(seed, (48, 64, 64), region="abdomen", findings=False)
    ml = np.prod(case.volume.spacing) / 1000
    left, right, pancreas = (case.labels == label_named(name).id
                             for name in ("kidney_left", "kidney_right", "pancreas"))
    assert 60 < left.sum() * ml < 350 and 60 < right.sum() * ml < 350
    parts, _ = ndimage.label(pancreas, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())[1:] * ml
    assert 25 < sizes.max() < 160 and sizes.max() > 0.9 * sizes.sum()


def test_hu_are_those_of_a_body(cases):
    for case in cases:
        values = case.volume.array
        assert values.dtype == np.int16 and (values < -900).mean() > 0.15
        liver = values[case.labels == label_named("liver").id]
        if len(liver) > 500:
            assert 0 < np.median(liver) < 180


@pytest.mark.parametrize("label", [row[0] for row in DRAWN])
def test_every_finding_can_be_drawn(label):
    for seed in range(6):
        case = make_phantom(seed, (80, 104, 104), region="both", findings=False)
        scene = Scene(case.volume.array.astype(np.float32), case.labels.copy(), case.volume.spacing,
                      np.random.default_rng(seed))
        if label in draw_findings(scene, {label}):
            assert (scene.labels == label_named(label).id).any()
            return
    pytest.fail(f"{label} was drawn in none of 6 cases")


def test_normal_cases_have_no_lesion_and_say_so():
    case = make_phantom(3, SMALL, findings=False)
    assert case.findings == [] and not (case.labels > 18).any()
    assert sum(label_report(case.report()).values()) == 0


def test_the_share_of_findings_can_be_chosen():
    assert not make_phantom(5, shape=(48, 64, 64), share=0.0).findings
    names = {planted.name for planted in make_phantom(5, shape=(48, 64, 64), region="both", share=1.0).findings}
    assert len(names) >= 8


def test_only_imaged_regions_are_described():
    case = make_phantom(5, SMALL, region="abdomen")
    described = {line.split(":")[0] for line in case.report().splitlines()}
    assert ("Upper abdomen" in described) == ("abdomen" in case.imaged)
    if "mediastinum" not in case.imaged:
        assert "Mediastinum" not in described


def test_an_enlarged_heart_is_larger(monkeypatch):
    def wanted(names):
        monkeypatch.setattr(generator, "_wanted", lambda rng, share: names)
        return make_phantom(9, SMALL, region="chest")

    normal, large = wanted(set()), wanted({"heart"})
    heart = label_named("heart").id
    assert (large.labels == heart).sum() > 1.3 * (normal.labels == heart).sum()
    assert large.present["Cardiomegaly"] == 1 and normal.present["Cardiomegaly"] == 0


def test_swapping_sides_of_words():
    text = "A 14 mm nodule in the right upper lobe. Left effusion. Atelectasis in the right middle lobe."
    swapped = swap_sides(text)
    assert swapped == "A 14 mm nodule in the left upper lobe. Right effusion. Atelectasis in the lingula."
    assert swap_sides("the lingula") == "the middle lobe"


def test_tables_of_cases_can_be_read_and_repeated(tmp_path):
    path = write_cases(2, tmp_path / "out ü", seed=70, shape=(32, 48, 48))
    rows = list(csv.DictReader(path.open(encoding="utf-8")))
    assert [row["case"] for row in rows] == ["phantom_70", "phantom_71"]
    image = nibabel.load(path.parent / rows[0]["image"])
    label = nibabel.load(path.parent / rows[0]["label"])
    case = make_phantom(70, (32, 48, 48))
    np.testing.assert_array_equal(np.asarray(image.dataobj).transpose(), case.volume.array)
    np.testing.assert_array_equal(np.asarray(label.dataobj).transpose(), case.labels)
    np.testing.assert_allclose(image.affine, case.volume.ijk_to_ras, atol=1e-4)
    assert rows[0]["report"] == case.report() and json.loads(rows[0]["findings"]) is not None
    stamp = (path.parent / rows[0]["image"]).stat().st_mtime_ns
    write_cases(2, tmp_path / "out ü", seed=70, shape=(32, 48, 48))
    assert (path.parent / rows[0]["image"]).stat().st_mtime_ns == stamp


def test_a_fragment_changes_neither_side_nor_number():
    """A speck of fluid on the right must not turn a left effusion into a bilateral one; a small nodule is a nodule."""
    labels = np.zeros((30, 40, 60), np.uint8)
    labels[:, :, 5:25], labels[:, :, 35:55] = (label_named(f"lung_lower_lobe_{side}").id for side in ("right", "left"))
    labels[5:20, 25:35, 38:50] = labels[5, 30, 10:12] = label_named("pleural_effusion").id
    labels[2:12, 5:15, 8:18] = labels[20:23, 5:8, 8:11] = label_named("lung_nodule").id
    planted = planted_findings(labels, np.zeros(labels.shape, np.int16), np.diag([-2.0, -2.0, 2.0, 1.0]))
    assert [row.side for row in planted if row.name == "Pleural effusion"] == ["left"]
    assert len([row for row in planted if row.name == "Lung nodule"]) == 2


def test_insertion_keeps_metal_and_padding_beyond_the_range_of_ct():
    """A hip prosthesis or a reader's own padding value is not part of any lesion: its HU stay as they are."""
    source = make_phantom(3, SMALL, findings=False)
    array = source.volume.array.copy()
    array[0, 0, :3] = 9000, -3024, 3500
    case = insert_findings(Volume(array, source.volume.ijk_to_ras), source.labels, 5, share=0.6)
    assert list(case.volume.array[0, 0, :3]) == [9000, -3024, 3500] and case.findings


def test_another_scanner_shows_the_same_patient_with_much_more_noise():
    usual, low_dose = (make_phantom(41, SMALL, region="abdomen", scanner=name) for name in ("usual", "low_dose"))
    assert (usual.labels == low_dose.labels).all() and usual.report() == low_dose.report()
    liver = usual.labels == label_named("liver").id
    noise = [np.std(np.diff(case.volume.array.astype(float), axis=0)[liver[1:] & liver[:-1]]) for case in
             (usual, low_dose)]
    assert noise[1] > 60 > 2 * noise[0]
    assert abs(np.median(usual.volume.array[liver]) - np.median(low_dose.volume.array[liver])) < 15


def test_wrong_arguments_are_named(tmp_path):
    with pytest.raises(CaseError, match="head"):
        make_phantom(1, region="head")
    with pytest.raises(CaseError, match="at least 16"):
        make_phantom(1, shape=(4, 4, 4))
    with pytest.raises(CaseError, match="usual, low_dose"):
        make_phantom(1, scanner="x-ray")
    with pytest.raises(CaseError, match="at least 1"):
        write_cases(0, tmp_path)


DATA = Path(os.environ.get("UVLM_DATA", "no-data"))


@pytest.mark.skipif(not DATA.exists(), reason="UVLM_DATA does not name the folder of real scans")
def test_findings_in_a_real_scan_leave_the_rest_alone():
    from uvlm_core.training.real_scan import load_real
    from uvlm_core.training.recipe import load_recipe

    source = next(row for row in load_recipe("demo").data if row["name"] == "abdomen")
    volume, labels, _ = load_real(json.dumps(source), DATA)
    labels = np.array(labels)
    before = volume.array.copy()
    case = insert_findings(volume, labels, 4, share=0.9)
    np.testing.assert_array_equal(volume.array, before)
    changed = case.labels != labels
    assert changed.any() and {planted.name for planted in case.findings} & {"Liver lesion", "Kidney lesion"}
    near = changed.copy()
    for axis in range(3):
        for shift in (-3, -2, -1, 1, 2, 3):
            near |= np.roll(changed, shift, axis)
    assert (case.volume.array[~near] != before[~near]).mean() < 0.002
    # the mirrored scan has its kidney lesion on the other side
    mirrored = Volume(volume.array[..., ::-1].copy(), volume.ijk_to_ras)
    assert mirrored.shape == volume.shape
    for planted in case.findings:
        if planted.name == "Kidney lesion":
            kidney = np.argwhere(labels == label_named(f"kidney_{planted.side}").id)
            other = np.argwhere(labels == label_named("kidney_right" if planted.side == "left" else "kidney_left").id)
            centre = volume.ijk_to_ras @ [*kidney.mean(0)[::-1], 1]
            apart = volume.ijk_to_ras @ [*other.mean(0)[::-1], 1]
            assert abs(planted.centre_ras[0] - centre[0]) < abs(planted.centre_ras[0] - apart[0])
