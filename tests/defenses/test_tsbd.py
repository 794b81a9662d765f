"""TSBD: when unlearning ends, and which weights are zeroed."""

import torch
from harness.defenses.tsbd import Hyper, unlearn_, zero_most_changed_
from torch import nn

from harness.toolbox.holdout import accuracy
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_tsbd_unlearns_until_the_clean_task_is_gone():
    budget, hyper = clean_budget(5), Hyper(unlearn_lr=2e-5, unlearn_to=0.6)
    assert accuracy(planted(), budget) > 0.6
    assert accuracy(unlearn_(planted(), budget, hyper, cpu_context()), budget) <= 0.6


def test_tsbd_zeroes_what_changed_most_in_the_filters_that_changed_most():
    net, after = (
        nn.Sequential(nn.Conv2d(5, 4, 1, bias=False)),
        nn.Sequential(nn.Conv2d(5, 4, 1, bias=False)),
    )
    with torch.no_grad():
        net[0].weight.fill_(1)
        after[0].weight.fill_(1)
        after[0].weight[2, :, 0, 0] += torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0])
        after[0].weight[1, 0] += 0.5
    assert zero_most_changed_(net, after, Hyper(filters=0.25, weights=0.6)) == 3
    assert net[0].weight[2].flatten().tolist() == [0, 1, 0, 1, 0]
    assert net[0].weight[[0, 1, 3]].eq(1).all()
