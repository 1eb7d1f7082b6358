"""Masks come out clean, and what was not imaged is said to be so."""

from __future__ import annotations

import numpy as np

from uvlm_core.inference.cleanup import clean_scores
from uvlm_core.inference.field_of_view import ABSENT, IMAGED, PARTLY, field_of_view
from uvlm_core.labels import label_named, labels
from uvlm_core.volumes.body import near_body

NAMES = ("background", *(label.name for label in labels()))
SPACING = (3.0, 3.0, 3.0)
SHAPE = (40, 48, 48)
LIMITS = {"liver_lesion": 0.8, "lung_nodule": 0.8}


def scores_of(*boxes, second: dict | None = None) -> np.ndarray:
    """Scores where each (label, slices) box wins with 0.9; `second` gives 0.3 to another label everywhere."""
    scores = np.zeros((len(NAMES), *SHAPE), np.float16)
    scores[0] = 0.5
    for name in second or {}:
        scores[NAMES.index(name)] = 0.3
    for name, place in boxes:
        scores[(slice(None), *place)] *= 0.1
        scores[(NAMES.index(name), *place)] = 0.9
    return scores


def box(z, y, x, size):
    return slice(z, z + size), slice(y, y + size), slice(x, x + size)


def count(winner, name) -> int:
    return int((winner == NAMES.index(name)).sum())


def test_only_the_largest_liver_stays():
    scores = scores_of(("liver", box(5, 5, 5, 12)), ("liver", box(30, 30, 30, 5)))
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "liver") == 12**3
    assert (winner == scores.argmax(0)).all(), "scores and label map must tell the same"


def test_an_organ_that_may_have_parts_keeps_them():
    scores = scores_of(("ribs", box(5, 5, 5, 8)), ("ribs", box(30, 30, 30, 6)), ("aorta", box(20, 5, 5, 8)),
                       ("aorta", box(20, 25, 25, 7)))
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "ribs") == 8**3 + 6**3
    assert count(winner, "aorta") == 8**3 + 7**3


def test_the_pad_of_the_table_is_no_lung():
    """Foam has the HU of lung. In an abdomen without a lobe it would be the largest part of it."""
    hu = np.full(SHAPE, -1000.0, np.float32)
    hu[:, 4:30, 4:40] = 40.0  # the patient
    hu[box(20, 10, 12, 14)] = -850.0  # a lung
    hu[:, 38:41, 2:46], hu[:, 39, 3:45] = 100.0, -850.0  # the table: a shell of one voxel around foam
    body = near_body(hu)
    assert body[25, 15, 13] and not body[:, 38:].any()
    lobe, pad = ("lung_lower_lobe_right", box(20, 10, 12, 14)), ("lung_upper_lobe_left", np.s_[2:20, 39:40, 3:45])
    for given, left in ((body, 0), (None, 18 * 42)):
        winner = clean_scores(scores_of(lobe, pad), NAMES, SPACING, LIMITS, given)
        assert count(winner, "lung_lower_lobe_right") == 14**3 and count(winner, "lung_upper_lobe_left") == left
    assert near_body(np.full(SHAPE, -1000.0, np.float32)).all()  # no body: nothing is taken away


def test_what_stood_second_takes_the_place_of_a_stray():
    scores = scores_of(("spleen", box(5, 5, 5, 12)), ("liver", box(20, 20, 20, 14)), ("spleen", box(25, 25, 25, 4)))
    inner = (NAMES.index("liver"), *box(25, 25, 25, 4))
    scores[inner] = 0.4
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "spleen") == 12**3
    assert count(winner, "liver") == 14**3


def test_specks_unsure_and_stray_lesions_go_and_real_ones_stay():
    liver = ("liver", box(5, 5, 5, 20))
    scores = scores_of(liver, ("liver_lesion", box(8, 8, 8, 1)), ("liver_lesion", box(12, 12, 12, 4)),
                       ("liver_lesion", box(33, 40, 40, 4)), ("liver_lesion", box(8, 18, 18, 4)))
    scores[(NAMES.index("liver_lesion"), *box(8, 18, 18, 4))] = 0.4
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "liver_lesion") == 4**3, "only the sure one inside the liver"
    assert winner[8, 8, 8] == NAMES.index("liver")
    assert winner[35, 42, 42] == 0


def test_a_lesion_that_is_sure_in_one_voxel_only_goes():
    scores = scores_of(("liver", box(5, 5, 5, 20)), ("liver_lesion", box(8, 8, 8, 4)),
                       ("liver_lesion", box(16, 16, 16, 4)))
    scores[(NAMES.index("liver_lesion"), *box(16, 16, 16, 4))] = 0.7
    scores[NAMES.index("liver_lesion"), 17, 17, 17] = 0.99
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "liver_lesion") == 4**3 and winner[8, 8, 8] == NAMES.index("liver_lesion")


def test_a_bundle_that_says_nothing_of_parts_keeps_an_unsure_one():
    scores = scores_of(("liver", box(5, 5, 5, 20)), ("liver_lesion", box(16, 16, 16, 4)))
    scores[(NAMES.index("liver_lesion"), *box(16, 16, 16, 4))] = 0.7
    assert count(clean_scores(scores.copy(), NAMES, SPACING, {}), "liver_lesion") == 4**3
    assert count(clean_scores(scores, NAMES, SPACING, {"liver_lesion": 0.75}), "liver_lesion") == 0


def test_a_nodule_at_the_pleura_stays_and_one_in_the_abdomen_goes():
    scores = scores_of(("lung_lower_lobe_left", box(20, 10, 10, 15)), ("lung_nodule", box(25, 25, 12, 2)),
                       ("lung_nodule", box(3, 3, 40, 2)))
    winner = clean_scores(scores, NAMES, SPACING, LIMITS)
    assert count(winner, "lung_nodule") == 8


def test_nothing_is_changed_where_all_is_clean():
    scores = scores_of(("liver", box(5, 5, 5, 12)), ("liver_lesion", box(8, 8, 8, 4)))
    before = scores.copy()
    clean_scores(scores, NAMES, SPACING, LIMITS)
    assert (scores == before).all()


def labelled(shape=(100, 100, 100), **organs) -> np.ndarray:
    out = np.zeros(shape, np.uint8)
    for name, place in organs.items():
        out[place] = label_named(name).id
    return out


def test_chest_without_abdomen_is_told_apart():
    """3 mm voxels: lungs 1.7 l, heart 0.5 l, liver dome of 0.2 l cut by the lower end."""
    maps = labelled(lung_upper_lobe_left=np.s_[40:80, 20:60, 10:30], lung_upper_lobe_right=np.s_[40:80, 20:60, 60:80],
                    heart=np.s_[40:65, 30:60, 32:58], liver=np.s_[0:8, 20:50, 50:80])
    view = field_of_view(maps, 0.027, np.ones(maps.shape, bool))
    assert view.regions["lungs"] == view.regions["pleura"] == view.regions["heart"] == IMAGED
    assert view.regions["abdomen"] == PARTLY
    assert view.of_finding("Liver lesion") == PARTLY
    assert view.of_finding("Kidney lesion") == view.of_finding("Pancreas lesion") == ABSENT
    assert view.of_finding("Lung nodule") == IMAGED


def test_abdomen_without_chest_is_told_apart():
    maps = labelled(liver=np.s_[40:80, 20:60, 50:80], spleen=np.s_[50:70, 40:60, 10:20],
                    kidney_left=np.s_[20:40, 40:55, 20:32], lung_lower_lobe_right=np.s_[99:100, 30:50, 50:70])
    view = field_of_view(maps, 0.027, np.ones(maps.shape, bool))
    assert view.regions["lungs"] == view.regions["heart"] == ABSENT
    assert view.regions["abdomen"] == IMAGED
    assert view.of_finding("Lung nodule") == view.of_finding("Cardiomegaly") == ABSENT
    assert "lungs" not in view.shown and "abdomen" in view.shown


def test_a_small_organ_in_full_view_is_imaged():
    maps = labelled(spleen=np.s_[50:60, 40:50, 10:20], liver=np.s_[40:70, 20:60, 50:80])
    view = field_of_view(maps, 0.027, np.ones(maps.shape, bool))
    assert view.organs["spleen"] == IMAGED


def test_large_lungs_that_the_scan_cuts_on_its_sides_are_partly_imaged():
    """1.5 to 2 l of lung remain in a heart scan of a narrow field of view; whole lungs do not reach the end of the
    grid, whatever their size, and a spine is cut by every scan."""
    lungs = {"lung_upper_lobe_left": np.s_[20:80, 10:70, 0:35], "lung_upper_lobe_right": np.s_[20:80, 10:70, 65:100]}
    view = field_of_view(labelled(spine=np.s_[0:100, 70:85, 42:58], **lungs), 0.027, np.ones((100,) * 3, bool))
    assert view.regions["lungs"] == PARTLY and view.regions["bones"] == IMAGED
    whole = labelled(lung_upper_lobe_left=np.s_[20:80, 10:70, 5:40],
                     lung_upper_lobe_right=np.s_[20:80, 10:70, 60:95])
    assert field_of_view(whole, 0.027, np.ones((100,) * 3, bool)).regions["lungs"] == IMAGED


def test_one_lung_is_not_both():
    right = np.s_[20:80, 10:70, 60:95]
    whole = labelled(lung_lower_lobe_left=np.s_[20:80, 10:70, 5:40], lung_lower_lobe_right=right)
    half = labelled(lung_lower_lobe_left=np.s_[20:22, 10:14, 5:8], lung_lower_lobe_right=right)
    white = labelled(consolidation=np.s_[20:80, 10:70, 5:40], lung_lower_lobe_right=right)
    states = [field_of_view(maps, 0.027, np.ones(maps.shape, bool)).regions["pleura"] for maps in (whole, half, white)]
    assert states == [IMAGED, PARTLY, IMAGED]


def test_the_upper_oesophagus_does_not_show_a_hernia():
    maps = labelled(esophagus=np.s_[50:90, 40:46, 40:46], heart=np.s_[30:60, 20:60, 30:60])
    assert field_of_view(maps, 0.027, np.ones(maps.shape, bool)).of_finding("Hiatal hernia") == ABSENT
