"""CLP: the bound of a layer by hand."""

import pytest
import torch
from harness.defenses.clp import lipschitz
from torch import nn


def test_clp_bound_of_a_layer_by_hand():
    convolution, norm = nn.Conv2d(2, 2, (1, 2), bias=False), nn.BatchNorm2d(2, eps=1.0)
    with torch.no_grad():
        convolution.weight[0] = torch.tensor([[[3.0, 0.0]], [[0.0, 4.0]]])
        convolution.weight[1] = torch.tensor([[[1.0, 1.0]], [[1.0, 1.0]]])
        norm.weight.copy_(torch.tensor([-2.0, 3.0]))
        norm.running_var.copy_(torch.tensor([3.0, 8.0]))
    assert lipschitz(convolution, norm).tolist() == pytest.approx([4 * 2 / 2, 2 * 3 / 3])
