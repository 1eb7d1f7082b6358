"""Losses count what is known, and nothing else."""

from __future__ import annotations

import math

import pytest
import torch

from uvlm_core.labels import IGNORE
from uvlm_core.training import losses
from uvlm_core.training.losses import (
    REST,
    answer_loss,
    classification_loss,
    deep_supervision_loss,
    positive_weights,
    segmentation_loss,
)


def one_hot_logits(target: torch.Tensor, classes: int, strength: float = 20.0) -> torch.Tensor:
    return torch.nn.functional.one_hot(target, classes).movedim(-1, 1).float() * strength


def test_perfect_segmentation_has_no_loss():
    target = torch.randint(0, 4, (2, 4, 6, 6), generator=torch.Generator().manual_seed(0))
    known = torch.ones(2, 4, dtype=torch.bool)
    assert segmentation_loss(one_hot_logits(target, 4), target, known) < 1e-3
    wrong = one_hot_logits((target + 1) % 4, 4)
    assert segmentation_loss(wrong, target, known) > 5


def test_ignored_voxels_do_not_count():
    target = torch.randint(0, 3, (1, 4, 6, 6), generator=torch.Generator().manual_seed(1))
    logits = one_hot_logits(target, 3)
    logits[:, :, :2] = one_hot_logits((target[:, :2] + 1) % 3, 3)
    target[:, :2] = IGNORE
    assert segmentation_loss(logits, target, torch.ones(1, 3, dtype=torch.bool)) < 1e-3


def test_partial_labels_accept_any_unannotated_class():
    """Where only class 1 is annotated, any other class outside it is right, and class 1 there is wrong."""
    target = torch.full((1, 2, 4, 4), REST)
    target[:, 0] = 1
    known = torch.tensor([[False, True, False]])
    guess = torch.full((1, 2, 4, 4), 2)
    guess[:, 0] = 1
    assert segmentation_loss(one_hot_logits(guess, 3), target, known) < 1e-3
    everywhere = torch.ones(1, 2, 4, 4, dtype=torch.long)
    assert segmentation_loss(one_hot_logits(everywhere, 3), target, known) > 3


def test_voxels_of_a_rare_class_can_count_alike():
    """With power 0 the cross-entropy is the plain mean over voxels; a missed rare voxel then costs less."""
    logits = torch.randn(1, 2, 2, 4, 4, generator=torch.Generator().manual_seed(4))
    target = torch.zeros(1, 2, 4, 4, dtype=torch.long)
    target[0, 0, 0, 0] = 1
    known = torch.ones(1, 2, dtype=torch.bool)
    p = logits.softmax(1)
    dice = 2 * p[0, 1, 0, 0, 0] / (p[0, 1].sum() + 1)
    plain = torch.nn.functional.cross_entropy(logits, target) - dice.log()
    assert segmentation_loss(logits, target, known, rare_voxels=0.0) == pytest.approx(plain.item(), rel=1e-5)
    missed = torch.zeros_like(logits)
    missed[:, 0] = 4.0
    assert segmentation_loss(missed, target, known, rare_voxels=0.0) < segmentation_loss(missed, target, known)


def test_dice_and_cross_entropy_agree_with_their_definitions():
    logits = torch.randn(1, 3, 3, 4, 5, generator=torch.Generator().manual_seed(2))
    target = torch.randint(0, 3, (1, 3, 4, 5), generator=torch.Generator().manual_seed(3))
    p = logits.softmax(1)
    y = torch.nn.functional.one_hot(target, 3).movedim(-1, 1).float()
    dice = 2 * (p * y).sum((2, 3, 4)) / (p.sum((2, 3, 4)) + y.sum((2, 3, 4)))
    weight = (y.sum((0, 2, 3, 4)).mean() / y.sum((0, 2, 3, 4))).sqrt()
    expected = torch.nn.functional.cross_entropy(logits, target, weight) - dice[0, 1:].log().mean()
    loss = segmentation_loss(logits, target, torch.ones(1, 3, dtype=torch.bool))
    assert loss == pytest.approx(expected.item(), rel=1e-5)


def test_a_rare_class_counts_more_per_voxel_within_limits():
    """The gradient on one nodule voxel is 8 times that on a voxel of a common class, and never more."""
    target = torch.zeros(1, 10, 20, 20, dtype=torch.long)
    target[0, 5, 5, 5], target[0, :5] = 2, 1
    logits = torch.zeros(1, 3, 10, 20, 20, requires_grad=True)
    (gradient,) = torch.autograd.grad(segmentation_loss(logits, target, torch.zeros(1, 3, dtype=torch.bool)), logits)
    rare, common = gradient[0, 2, 5, 5, 5], gradient[0, 1, 0, 0, 0]
    even = (4000 / 3 / 2000) ** 0.5
    assert rare / common == pytest.approx(8 / even, rel=1e-4)


def test_a_missed_class_pulls_as_hard_as_a_half_found_one():
    """With a probability of 0.001 on the whole lesion, its Dice still pulls with a gradient of the order of one."""
    target = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    target[0, :2] = 1
    logits = torch.zeros(1, 2, 8, 8, 8)
    logits[:, 1] = -7.0
    logits.requires_grad_()
    (gradient,) = torch.autograd.grad(segmentation_loss(logits, target, torch.ones(1, 2, dtype=torch.bool)), logits)
    assert -gradient[0, 1, :2].sum() > 1


def test_deep_supervision_reads_the_same_labels_at_every_scale():
    target = torch.zeros(1, 8, 8, 8, dtype=torch.long)
    target[:, :, :, 4:] = 1
    outputs = [one_hot_logits(target[:, ::s, ::s, ::s], 2) for s in (1, 2, 4)]
    assert deep_supervision_loss(outputs, target, torch.ones(1, 2, dtype=torch.bool)) < 1e-3


def test_rare_findings_weigh_more_and_unknown_labels_nothing():
    labels = torch.tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, float("nan")]])
    assert positive_weights(labels).tolist() == [3.0, 2.0]
    logits = torch.zeros(4, 2)
    logits[3, 1] = 100  # unknown: must not count
    assert torch.isfinite(classification_loss(logits, labels, torch.ones(2)))
    assert classification_loss(logits, labels, torch.ones(2)) == pytest.approx(0.6931, abs=1e-3)


def test_the_prompt_is_not_in_the_report_loss():
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    answer = torch.tensor([[False, False, False, True, True]])
    logits = torch.zeros(1, 5, 10)
    logits[0, 2, 8] = logits[0, 3, 9] = 30
    logits[0, 0, 0] = 30  # a wrong prediction inside the prompt
    assert answer_loss(logits, ids, answer) < 1e-4


def test_a_mask_of_a_class_that_is_not_there_costs_by_its_size():
    target = torch.zeros(1, 4, 10, 10, dtype=torch.long)
    target[0, :2] = 1
    known = torch.tensor([[True, True, True, False]])

    def cost(voxels: int, label: int) -> float:
        logits = one_hot_logits(target, 4)
        logits[0, :, 3, :, :].view(4, -1)[:, :voxels] = -20.0
        logits[0, label, 3].view(-1)[:voxels] = 20.0
        with_it, without = (segmentation_loss(logits, target, known, 0.0, absent) for absent in (25.0, 0.0))
        return float(with_it - without)

    assert cost(25, 2) == pytest.approx(math.log(2), rel=1e-3)
    assert cost(75, 2) == pytest.approx(math.log(4), rel=1e-3)
    assert cost(25, 3) <= 0  # what nobody annotated is no error


def test_a_missed_class_costs_the_same_however_many_others_are_rightly_silent():
    target = torch.zeros(1, 4, 10, 10, dtype=torch.long)
    target[0, 0] = 1
    missed = one_hot_logits(torch.zeros_like(target), 12)
    few, many = torch.zeros(1, 12, dtype=torch.bool), torch.ones(1, 12, dtype=torch.bool)
    few[0, :2] = True
    alone, among = (float(segmentation_loss(missed, target, known, 0.0, 30.0)) for known in (few, many))
    assert among == pytest.approx(alone, rel=1e-3)


@pytest.mark.parametrize(("rare_voxels", "absent_voxels"), [(0.0, 0.0), (0.5, 0.0), (0.5, 20.0)])
def test_a_large_scan_in_slabs_has_the_same_loss_and_gradient(monkeypatch, rare_voxels, absent_voxels):
    torch.manual_seed(4)
    target = torch.randint(0, 5, (2, 6, 10, 10)).to(torch.uint8)
    target[0, :, :3], target[1, 2:4] = REST, IGNORE
    known = torch.tensor([[True, True, False, True, True], [True, True, True, True, False]])
    results = []
    for large, slab in ((1 << 21, 1 << 20), (10, 170)):  # four slabs, the last one short
        monkeypatch.setattr(losses, "LARGE_VOLUME", large)
        monkeypatch.setattr(losses, "SLAB", slab)
        logits = torch.randn(2, 5, 6, 10, 10, generator=torch.Generator().manual_seed(1)).requires_grad_()
        value = segmentation_loss(logits, target, known, rare_voxels, absent_voxels)
        value.backward()
        results.append((value.detach(), logits.grad))
    assert torch.allclose(results[0][0], results[1][0], rtol=1e-5)
    assert torch.allclose(results[0][1], results[1][1], rtol=1e-3, atol=1e-7)
