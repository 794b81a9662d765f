"""I-BAU: the scale of its perturbation."""

import pytest
import torch
from harness.defenses.i_bau import Hyper, inner_loss
from torch import nn
from torch.nn import functional as F

from harness.toolbox.normalise import Normalise, pixel_unit
from tests.helpers.planted_models import clean_budget, planted


def test_i_bau_perturbs_normalised_images():
    bare, budget = planted(), clean_budget(2)
    net = nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.25, 0.5, 1.0)), bare)
    delta, hyper = torch.full((1, 3, 8, 8), 0.2), Hyper(penalty=0.5)
    expected = -F.cross_entropy(bare(net[0](budget.images) + 0.2), budget.labels) + 0.5 * 0.04 * 192
    loss = inner_loss(net, (budget.images, budget.labels), delta, hyper)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert pixel_unit(net).flatten().tolist() == [0.25, 0.5, 1.0]
    assert pixel_unit(bare).item() == 1
