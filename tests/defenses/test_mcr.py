"""MCR: the curve's ends and middle, and statistics that fit the network."""

import pytest
import torch
from harness.defenses.mcr import Hyper, mcr, point, train_curve, weights_of

from harness.toolbox.loops import refresh_statistics_
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_mcr_ends_of_the_curve_are_victim_and_fine_tuned_copy():
    ends = {"w": torch.tensor([1.0])}, {"w": torch.tensor([5.0])}
    middle = {"w": torch.tensor([9.0])}
    assert [point(ends, middle, t)["w"].item() for t in (0, 0.5, 1)] == [1, 6, 5]


def test_mcr_trains_the_middle_from_the_mean_of_the_ends():
    budget, victim = clean_budget(3), planted()
    other = {name: 1.5 * w for name, w in weights_of(victim).items()}
    ends = weights_of(victim), other
    still = train_curve(victim, ends, budget, Hyper(curve_epochs=1, curve_lr=1e-12), cpu_context())
    assert torch.allclose(still["conv.weight"], 1.25 * victim.conv.weight)
    moved = train_curve(victim, ends, budget, Hyper(curve_epochs=2, curve_lr=0.1), cpu_context())
    assert not torch.allclose(moved["conv.weight"], still["conv.weight"])
    assert victim.norm.num_batches_tracked == planted().norm.num_batches_tracked


def test_mcr_may_add_up_the_gradients_of_its_curve():
    budget, start = clean_budget(3), weights_of(planted())

    def moved(epochs, add):
        hyper = Hyper(curve_epochs=epochs, weight_decay=0, momentum=0, add_up_gradients=add)
        curve = train_curve(planted(), (start, start), budget, hyper, cpu_context())
        return (curve["linear.weight"] - start["linear.weight"]).norm().item()

    assert moved(1, add=True) == pytest.approx(moved(1, add=False), rel=1e-3)
    assert moved(30, add=True) > 5 * moved(30, add=False)


def test_mcr_returns_points_of_the_curve_with_statistics_of_their_own():
    hyper = Hyper(epochs=2, curve_epochs=2, t=0, others=(1,))
    repaired = mcr(planted(), clean_budget(5), hyper, cpu_context())
    assert torch.equal(repaired.model.conv.weight, planted().conv.weight)
    tuned = repaired.companions["t-1"]
    assert not torch.equal(tuned.conv.weight, planted().conv.weight)
    before = tuned.conv(clean_budget(5).images)
    assert torch.allclose(tuned.norm.running_mean, before.mean((0, 2, 3)), atol=1e-5)
    again = refresh_statistics_(planted(), clean_budget(5), 5, cpu_context())
    assert torch.allclose(again.norm.running_mean, repaired.model.norm.running_mean, atol=1e-5)
    assert again.norm.momentum == 0.1
