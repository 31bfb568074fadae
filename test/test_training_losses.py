# Copyright 2026 instructsam_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Losses, matching, optimizer and settings of the trainer."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from instructsam.training import losses
from instructsam.training.dense import label_cells
from instructsam.training.matching import assign_to_anchors, fit_anchors, hungarian
from instructsam.training.optimizer import Muon, WeightAverage, orthogonalise, rate
from instructsam.training.settings import OptimizerSettings, TrainingSettings


def test_mask_bce_is_torchs_binary_cross_entropy():
    logits, target = torch.randn(3, 50), torch.rand(3, 50)
    expected = F.binary_cross_entropy_with_logits(logits, target, reduction='none').mean(-1)
    # two fp32 formulas of the same number: a few ulp of values near 1
    assert torch.allclose(losses.mask_bce(logits, target), expected, atol=1e-6)


def test_dice_of_a_perfect_mask_is_zero_and_of_a_wrong_one_near_one():
    target = torch.zeros(1, 100)
    target[0, :50] = 1
    assert losses.mask_dice(200 * (target - 0.5), target).item() == pytest.approx(0, abs=1e-6)
    # 1 − (0 + 1) / (50 + 50 + 1), with eps 1
    assert losses.mask_dice(200 * (0.5 - target), target).item() == pytest.approx(1 - 1 / 101)


boxes = st.tuples(*[st.floats(0.05, 0.95)] * 2, *[st.floats(0.02, 0.5)] * 2)


@settings(deadline=None)  # torch's first call loads kernels
@given(boxes, boxes)
def test_giou_loss_is_symmetric_bounded_and_zero_for_equal_boxes(a, b):
    first, second = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)
    loss = losses.box_giou(first, second).item()
    assert loss == pytest.approx(losses.box_giou(second, first).item(), abs=1e-9)
    assert -1e-9 <= loss <= 2
    assert losses.box_giou(first, first).item() == pytest.approx(0, abs=1e-9)


def test_giou_loss_by_hand():
    left = torch.tensor([0.25, 0.5, 0.5, 1.0])
    right = torch.tensor([0.75, 0.5, 0.5, 1.0])
    # touching halves: IoU 0, hull equals the union
    assert losses.box_giou(left, right).item() == pytest.approx(1.0)


def test_points_are_read_where_masks_are_unsure():
    ramp = torch.linspace(-4, 4, 64).expand(1, 64, 64)
    points = losses.sample_points(ramp, 400, torch.Generator().manual_seed(0))
    picked = losses.gather_points(ramp, points)[0].abs()
    # half are the 200 surest-to-be-unsure of 1200 (|x| < 4/6), half uniform (mean |x| 2)
    assert picked[:200].max() < 0.8
    assert picked[200:].mean() == pytest.approx(2.0, abs=0.4)


def test_anchors_spread_over_the_objects_and_each_object_gets_its_own_slot():
    rng = np.random.default_rng(0)
    centres = rng.random((500, 2))
    anchors = fit_anchors(centres, 10)
    assert anchors.shape == (10, 2)
    use = np.bincount(np.argmin(np.linalg.norm(centres[:, None] - anchors, axis=-1), 1),
                      minlength=10)
    assert use.min() >= 20  # uniform would be 50 each; k-means cells of a square differ by < 2×
    crowd = anchors[3] + rng.normal(0, 0.01, (6, 2))
    slots = assign_to_anchors(crowd, anchors)
    assert len(set(slots.tolist())) == 6 and 3 in slots


def test_objects_beyond_the_slots_stay_without_one():
    slots = assign_to_anchors(np.random.default_rng(0).random((12, 2)),
                              np.random.default_rng(1).random((10, 2)))
    assert sorted(slots.tolist()) == [-1, -1, *range(10)]


def test_hungarian_finds_the_permutation_that_made_the_predictions():
    truth = torch.zeros(3, 30)
    for i in range(3):
        truth[i, 10 * i:10 * i + 10] = 1
    masks = torch.full((2, 4, 30), -8.0)
    masks[1, [2, 0, 3]] = 16 * truth - 8
    scores = torch.zeros(2, 4)
    slots = hungarian(scores, masks, truth, torch.tensor([1, 1, 1]))
    assert slots.tolist() == [2, 0, 3]


def test_hungarian_prefers_the_surer_of_two_equal_masks():
    truth = torch.ones(1, 10)
    slots = hungarian(torch.tensor([[-1.0, 2.0]]), torch.full((1, 2, 10), 3.0), truth,
                      torch.tensor([0]))
    assert slots.tolist() == [1]


def test_orthogonalised_matrices_have_singular_values_near_one():
    stack = torch.randn(2, 48, 96, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalise(stack))
    # the quintic's fixed band after five steps is about 0.68..1.13
    assert values.min() > 0.6 and values.max() < 1.2


def test_muon_descends():
    torch.manual_seed(0)
    goal, weight = torch.randn(32, 48), torch.nn.Parameter(torch.zeros(32, 48))
    optimizer = Muon([weight], lr=0.05)
    first = (weight - goal).square().mean().item()
    for _ in range(150):
        optimizer.zero_grad()
        (weight - goal).square().mean().backward()
        optimizer.step()
    assert (weight - goal).square().mean().item() < 0.2 * first


def test_muon_shared_between_processes_takes_the_same_step():
    torch.manual_seed(0)
    shapes = [(32, 48), (48, 32), (32, 48), (16, 16)]
    gradients = [torch.randn(s) for s in shapes]
    alone = [torch.nn.Parameter(torch.zeros(s)) for s in shapes]

    def step(params, **options):
        optimizer = Muon(params, lr=0.1, **options)
        for p, g in zip(params, gradients, strict=True):
            p.grad = g.clone()
        optimizer.step()

    step(alone)
    shares = []
    for rank in range(2):
        step([torch.nn.Parameter(torch.zeros(s)) for s in shapes], rank=rank, world=2,
             reduce=lambda flat: shares.append(flat.clone()) or flat)
    total = sum(shares)
    shared = [torch.nn.Parameter(torch.zeros(s)) for s in shapes]
    step(shared, rank=0, world=2, reduce=lambda flat: total)
    for a, b in zip(alone, shared, strict=True):
        # the same arithmetic in another batch order: a few ulp
        assert torch.allclose(a, b, atol=1e-6)


def test_rates_warm_up_hold_and_decay():
    steady = OptimizerSettings(warmup=0.1, decay=0.4)
    values = [rate(steady, s, 100) for s in range(100)]
    assert values[0] == pytest.approx(0.1) and values[10] == 1.0 and values[59] == 1.0
    assert values[80] == pytest.approx(0.5) and values[99] <= 0.03
    cosine = OptimizerSettings(warmup=0.1, schedule='cosine')
    assert rate(cosine, 55, 100) == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.5)))


def test_weight_average_swaps_and_swaps_back():
    p = torch.nn.Parameter(torch.zeros(3))
    average = WeightAverage([p], 0.9)
    with torch.no_grad():
        p.fill_(1.0)
    average.update(1000)
    average.swap()
    assert torch.allclose(p, torch.full((3,), 0.1))  # 0 + (1 − 0.9) · 1
    average.swap()
    assert torch.equal(p.detach(), torch.ones(3))


def test_cells_are_named_by_the_object_that_covers_them():
    masks = torch.zeros(2, 8, 8)
    masks[0, :4, :4] = 1
    masks[1, 4:, 4:6] = 1  # half of the last cell
    masks[1, 0, 7] = 1     # one sixteenth of a cell: background
    masks[0, 4:6, 0:2] = 1  # a quarter: neither
    boxes = torch.tensor([[0.2, 0.2, 0.4, 0.4], [0.7, 0.7, 0.2, 0.5]])
    target = label_cells(masks, torch.tensor([5, 7]), torch.tensor([1, 2]), boxes, 10, 2, 2, 2)
    assert target.category.tolist() == [5, 10, -100, 7]
    assert target.color.tolist()[0] == 1 and target.color.tolist()[3] == 2
    assert torch.equal(target.box[3], boxes[1])
    assert target.cover[3].tolist() == [1, 0, 1, 0]  # its left half
    empty = label_cells(torch.zeros(0, 8, 8), torch.zeros(0, dtype=torch.long),
                        torch.zeros(0, dtype=torch.long), torch.zeros(0, 4), 10, 2, 2, 2)
    assert empty.category.tolist() == [10] * 4


def test_settings_read_recipes_and_overrides():
    recipe = TrainingSettings.load('tabletop-cpu', ['optimizer.lr=1e-3', 'steps=7'])
    assert recipe.optimizer.lr == 1e-3 and recipe.steps == 7
    assert TrainingSettings.from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize(('override', 'named'), [
    ('optimiser.lr=1', 'optimiser'), ('optimizer.lrr=1', 'optimizer.lrr'),
    ('steps=many', 'steps'), ('assignment=magic', 'magic'), ('steps', 'key=value'),
    ('optimizer.lr=fast', 'fast'), ('data=tabletop', 'data')])
def test_settings_name_what_is_wrong(override, named):
    with pytest.raises(ValueError, match=named):
        TrainingSettings.load('tabletop-cpu', [override])


def test_an_unknown_recipe_lists_the_shipped_ones():
    with pytest.raises(FileNotFoundError, match='finetune-stage1'):
        TrainingSettings.load('no-such-recipe')
