"""Gates: what they leave alone, how they fold into weights, and what is saved of them."""

import pytest
import torch
from torch import nn

from harness.toolbox.ims.losses import MaskPair
from harness.toolbox.masks.channel_gates import (
    GatedNetwork,
    block_sites,
    convolution_sites,
    with_folded_gates,
    with_gated_blocks,
)
from tests.helpers.planted_models import clean_budget, planted_transformer, small_resnet


@pytest.mark.parametrize("make", [small_resnet, planted_transformer])
def test_selecting_nothing_leaves_both_networks_as_they_were(make):
    net = make().requires_grad_(False)
    sites = convolution_sites(net) if make is small_resnet else block_sites(net)
    masks = MaskPair(torch.rand(sites.count()), torch.ones(sites.count()), 20)
    images = clean_budget(1).images
    for gates in (masks.mask(), masks.inverse()):
        assert torch.equal(GatedNetwork(net, sites)(images, gates), net(images))
        assert torch.equal(sites.with_gates(net, sites.split(gates))(images), net(images))


def test_gates_fold_into_convolutions_with_and_without_bias():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2)
    ).eval()
    net = nn.Sequential(net, nn.Flatten(), nn.Linear(64, 2))
    sites, images = convolution_sites(net), clean_budget(1).images
    gates = torch.rand(sites.count())
    plain = with_folded_gates(net, sites.split(gates))
    assert torch.allclose(plain(images), GatedNetwork(net, sites)(images, gates), atol=1e-6)
    assert plain.state_dict().keys() == net.state_dict().keys()


def test_gated_blocks_save_and_reload():
    net, images = planted_transformer(), clean_budget(1).images
    sites = block_sites(net)
    assert sites.widths == {"blocks.0": 14, "blocks.1": 14}
    gates = torch.rand(sites.count())
    saved = with_gated_blocks(net, sites.split(gates))
    fresh = with_gated_blocks(planted_transformer(), sites.split(torch.ones(sites.count())))
    fresh.load_state_dict(saved.state_dict())
    assert torch.allclose(saved(images), GatedNetwork(net, sites)(images, gates), atol=1e-6)
    assert torch.equal(fresh(images), saved(images))
