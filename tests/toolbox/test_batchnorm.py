"""Batch norm: outlying channels, pairs with convolutions, running statistics."""

import torch
from torch import nn

from harness.toolbox.masks import batchnorm
from tests.helpers.planted_models import small_resnet


def test_only_outliers_are_cut():
    norm = nn.BatchNorm2d(20)
    values = torch.ones(20)
    values[3] = 100
    assert batchnorm.cut_outliers_(norm, values, 3).nonzero().tolist() == [[3]]
    assert norm.weight[3] == 0
    assert norm.weight.sum() == 19


def test_a_convolution_is_paired_with_the_norm_that_comes_next():
    net = small_resnet()
    found = {(id(conv), id(norm)) for conv, norm in batchnorm.convolution_batchnorm_pairs(net)}
    block = net.layer2[0]
    assert (id(block.conv1), id(block.bn2)) in found
    assert (id(net.conv1), id(net.layer1[0].bn1)) in found
    assert (id(block.shortcut[0]), id(net.layer2[1].bn1)) in found
    assert id(block.conv2) not in {conv for conv, _ in found}


def test_running_statistics_rest_while_frozen():
    norm = nn.BatchNorm2d(2)
    x = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(0)) + 5
    with batchnorm.frozen_running_statistics(norm):
        norm(x)
        assert norm.running_mean.tolist() == [0, 0]
    norm(x)
    assert norm.running_mean.min() > 0.4
