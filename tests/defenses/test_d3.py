"""D3: the classifier leaves the old one on a sphere, and its loss by hand."""

import pytest
import torch
from harness.defenses.d3 import Hyper, d3
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, cpu_context, planted


@pytest.mark.parametrize("epochs", [1, 4])
def test_d3_keeps_the_norm_of_the_classifier_and_leaves_it(epochs):
    old = planted().linear.weight
    new = d3(planted(), clean_budget(3), Hyper(epochs=epochs), cpu_context()).linear.weight
    assert new.norm().item() == pytest.approx(old.norm().item(), rel=1e-5)
    assert old.norm() < (new - old).norm() <= 2 * old.norm() + 1e-4


@pytest.mark.parametrize(("lam", "divisor"), [(10.0, 11.0), (0.5, 1.0)])
def test_d3_divides_its_loss_where_lambda_is_above_1(lam, divisor):
    budget, ctx = clean_budget(3), cpu_context()
    hyper = Hyper(lam=lam, eps=1.0, epochs=1, lr=1e-12, batchnorm="eval")
    net = d3(planted(), budget, hyper, ctx)
    losses = F.cross_entropy(net(budget.images), budget.labels, reduction="none")
    distance = (net.linear.weight - planted().linear.weight).norm()
    expected = (lam * (losses - 1).clamp_min(0).mean() - distance) / divisor
    assert ctx.scalars[0]["loss"] == pytest.approx(expected.item(), rel=1e-4)


def test_d3_may_leave_running_statistics_alone():
    def moved(mode):
        net = d3(planted(), clean_budget(3), Hyper(epochs=1, batchnorm=mode), cpu_context())
        return not torch.equal(net.norm.running_mean, planted().norm.running_mean)

    assert moved("train")
    assert not moved("eval")
