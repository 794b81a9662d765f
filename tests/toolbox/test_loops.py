"""Batches of a budget, and the loop over epochs."""

import math

import pytest
import torch

from harness.toolbox.loops import Loop, Patience, batches, train_epochs
from tests.helpers.planted_models import clean_budget, cpu_context


def test_batches_show_every_image_once_and_evenly():
    budget = clean_budget(5)
    seen = list(batches(budget, 9, cpu_context()))
    assert [len(labels) for _, labels in seen] == [7, 7, 6]
    shown = torch.cat([images for images, _ in seen])
    assert sorted(shown.sum((1, 2, 3)).tolist()) == sorted(budget.images.sum((1, 2, 3)).tolist())


def test_training_stops_when_told_and_logs_the_mean_loss():
    budget, context, weight = clean_budget(2), cpu_context(), torch.zeros(1, requires_grad=True)

    def step(x, y):
        loss = (weight - 1).square().sum()
        loss.backward()
        return loss

    optimiser = torch.optim.SGD([weight], 0.1)
    train_epochs(
        budget, step, optimiser, Loop(10, 4), context, stop=lambda: len(context.scalars) == 3
    )
    assert len(context.scalars) == 3
    assert context.scalars[0]["loss"] == pytest.approx((1 + 0.64) / 2)
    assert weight.item() == pytest.approx(1 - 0.8**6)


def test_patience_runs_out_after_steps_in_a_row_without_a_lower_value():
    patience = Patience(2, lowest=1.0)
    assert [patience.improves(value) for value in (1.0, 0.9, 0.9)] == [False, True, False]
    assert not patience.over()
    assert not patience.improves(2.0)
    assert patience.over()


def test_a_small_improvement_does_not_count_where_a_factor_is_set():
    patience = Patience(3, factor=0.98)
    assert [patience.improves(value) for value in (1.0, 0.985, 0.97)] == [True, False, True]
    assert patience.lowest == 0.97


def rates(loop):
    """Return the learning rate of every step of a training on 8 images."""
    weight, seen = torch.zeros(1, requires_grad=True), []
    optimiser = torch.optim.SGD([weight], 0.1)

    def step(x, y):
        seen.append(optimiser.param_groups[0]["lr"])
        loss = weight.square().sum()
        loss.backward()
        return loss

    train_epochs(clean_budget(2), step, optimiser, loop, cpu_context())
    return seen


def test_the_rate_is_multiplied_after_each_milestone():
    assert rates(Loop(4, 4, milestones=(1, 3), decay=0.5)) == pytest.approx(
        [0.1, 0.1, 0.05, 0.05, 0.05, 0.05, 0.025, 0.025]
    )
    assert rates(Loop(2, 4)) == [0.1] * 4


def half_wave(position):
    return 0.1 * (1 + math.cos(math.pi * position)) / 2


def test_a_cosine_falls_over_all_steps_or_by_epochs_or_rises_again():
    assert rates(Loop(3, 4, cosine=True)) == pytest.approx([half_wave(i / 6) for i in range(6)])
    by_epoch = rates(Loop(3, 4, cosine=True, cosine_per_epoch=True))
    assert by_epoch == pytest.approx([half_wave(i // 2 / 3) for i in range(6)])
    wave = rates(Loop(4, 4, cosine=True, wave=2))
    assert wave == pytest.approx([0.1, 0.05, 0, 0.05, 0.1, 0.05, 0, 0.05], abs=1e-9)
