"""Batches of a budget, and the loop over epochs."""

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
