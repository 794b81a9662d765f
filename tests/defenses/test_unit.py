"""UNIT: where caps start, which are kept, and how their cost moves."""

import pytest
import torch
from harness.defenses.unit import Cost, Hyper, initial_caps, unit

from harness.toolbox.holdout import accuracy, hold_out
from harness.toolbox.masks.caps import activations
from tests.helpers.planted_models import clean_budget, cpu_context, planted, small_resnet


def test_unit_starts_at_mean_and_deviations_of_every_activation():
    images = clean_budget(80).images  # more than one pass
    outputs = activations(planted(), images)["relu"][0]
    (cap,) = initial_caps(planted(), images, 4)["relu"]
    assert cap.shape == (32, 8, 8)
    assert torch.allclose(cap, outputs.mean(0) + 4 * outputs.std(0), atol=1e-4)


def test_unit_takes_the_relu_of_batch_norm_for_the_activation_where_there_is_no_module():
    net, images, seen = small_resnet(), clean_budget(5).images, []
    net.layer1[0].bn1.register_forward_hook(lambda _, inputs, out: seen.append(out.relu()))
    caps = initial_caps(net, images, 4)
    (active,) = seen
    assert torch.allclose(caps["layer1.0.bn1"][0], active.mean(0) + 4 * active.std(0), atol=1e-4)


def test_unit_returns_caps_that_were_evaluated_and_keep_accuracy():
    budget, ctx = clean_budget(10), cpu_context()
    repaired = unit(planted(), budget, Hyper(steps=60, lr=0.05), ctx)
    _, val = hold_out(budget, 0.2, cpu_context())
    assert accuracy(repaired.model, val) >= accuracy(planted(), val) - 0.03
    size = repaired.model.relu.cap0.mean().item()
    rows = [row for row in ctx.scalars if row["caps"] == pytest.approx(size, rel=1e-5)]
    assert rows
    assert size == pytest.approx(
        min(row["caps"] for row in ctx.scalars if row["val_acc"] >= rows[0]["val_acc"] - 0.03)
    )
    assert repaired.notes == {}


def test_unit_says_when_no_caps_keep_accuracy():
    repaired = unit(planted(), clean_budget(2), Hyper(steps=2, lr=50, tolerance=0), cpu_context())
    assert repaired.notes == {"caps": "none kept validation accuracy"}


def test_unit_cost_follows_validation_accuracy():
    cost = Cost(Hyper(patience=2))

    def after(*steps):
        for good in steps:
            cost.update(good=good)
        return cost.value / Hyper().cost

    assert after(True, False, True) == 1
    assert after(True) == 2
    assert after(False, False) == pytest.approx(2 / 2**1.5)
    assert after(True, True) == 1
    assert after(True) == 2
