"""Caps on activations: where they sit, and that they bound what they should."""

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock

from harness.models.resnet18 import Hyper, resnet18
from harness.toolbox.masks.caps import activations, with_caps
from tests.helpers.planted_models import (
    clean_budget,
    pictures,
    planted,
    planted_transformer,
    small_resnet,
)


def capped_at(model, images, value):
    sites = activations(model, images[:1])
    caps = {name: [torch.full_like(x[0], value) for x in site] for name, site in sites.items()}
    return with_caps(model, caps), caps


def resnet():
    torch.manual_seed(0)
    return resnet18(3, 4, Hyper(width=2)).eval()


NETWORKS = [planted, planted_transformer, small_resnet, resnet]


@pytest.mark.parametrize("network", NETWORKS)
def test_without_a_limit_logits_are_the_same_again_and_again(network):
    net, images = network(), clean_budget(1).images
    capped, _ = capped_at(net, images, float("inf"))
    for _ in range(2):
        assert torch.equal(capped.eval()(images), net(images))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_cap_is_the_largest_value_of_its_site(network):
    net, images = network(), pictures(2, seed=3)[0]
    capped, caps = capped_at(net, images, 0.05)
    found = activations(capped.eval(), images)
    assert sum(len(site) for site in caps.values()) > 0
    assert any((x > 0.05).any() for site in activations(net, images).values() for x in site)
    for name in caps:
        sites = [x for key, site in found.items() if key.startswith(name) for x in site]
        outputs = [capped.get_submodule(name)(x) for x in sites]
        assert max(x.max() for x in outputs) <= 0.05


def test_sites_are_activation_modules_or_else_batch_norms():
    images = clean_budget(1).images
    assert list(activations(planted(), images)) == ["relu"]
    assert list(activations(planted_transformer(), images)) == ["blocks.0.mlp.1", "blocks.1.mlp.1"]
    assert len(activations(small_resnet(), images)) == 16
    counts = {name: len(site) for name, site in activations(resnet(), images).items()}
    blocks = sum(isinstance(module, BasicBlock) for module in resnet().modules())
    assert counts.pop("relu") == 1
    assert list(counts.values()) == [2] * blocks
    with pytest.raises(ValueError, match="no activation modules and no batch norms"):
        activations(nn.Linear(3, 3), torch.ones(1, 3))


def test_a_network_with_caps_does_not_load_into_one_without():
    capped, _ = capped_at(planted(), clean_budget(1).images, 1.0)
    with pytest.raises(RuntimeError, match=r"relu\.cap0"):
        planted().load_state_dict(capped.state_dict())
