"""SAU: its divergence, its shared examples and its loss."""

import math

import pytest
import torch
from harness.defenses.sau import Hyper, jensen_shannon, outer_loss, shared_examples
from torch import nn
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, planted


def test_jensen_shannon_of_equal_and_of_disjoint_classes():
    p, q = torch.tensor([[1.0, 0.0], [0.3, 0.7]]), torch.tensor([[0.0, 1.0], [0.3, 0.7]])
    assert jensen_shannon(p, q).tolist() == pytest.approx([math.log(2), 0.0], abs=1e-5)


def test_sau_examples_stay_within_the_bound_and_mislead_both():
    net, victim, budget = planted(), planted(), clean_budget(5)
    shifted = shared_examples(net, victim, budget.images, budget.labels, Hyper())
    assert (shifted - budget.images).abs().max() <= 0.2 + 1e-6
    wrong = net(shifted).argmax(1) != budget.labels
    assert wrong.float().mean() > 0.5
    assert all(parameter.grad is None for parameter in net.parameters())


def test_sau_loss_by_hand():
    torch.manual_seed(0)
    net, victim = nn.Linear(2, 3), nn.Linear(2, 3)
    x, shifted, y = torch.randn(8, 2), torch.randn(8, 2), torch.randint(3, (8,))
    expected = F.cross_entropy(net(x), y)
    p, wrong, right = net(shifted).softmax(1), victim(shifted).argmax(1), victim(x).argmax(1)
    for i in range(8):
        if wrong[i] != y[i] and wrong[i] != right[i]:
            expected = expected - torch.log(1 - p[i, wrong[i]]) / 8
    assert outer_loss(net, victim, (x, shifted), y, Hyper()).item() == pytest.approx(
        expected.item(), abs=1e-5
    )
