"""Attention maps by hand, and the modules that they are taken from."""

import pytest
import torch

from harness.toolbox.attention import (
    FeatureMaps,
    attention_distance,
    attention_map,
    last_map_modules,
)
from tests.helpers.planted_models import small_resnet


def test_attention_map_of_a_small_tensor():
    features = torch.tensor([[[[1.0, -2.0]], [[3.0, 0.0]]]])
    energy = torch.tensor([10.0, 4.0])
    expected = energy / energy.norm()
    assert torch.allclose(attention_map(features, 2)[0, 0], expected, atol=1e-6)
    assert attention_map(features, 1)[0, 0].tolist() == pytest.approx(
        [4 / 20**0.5, 2 / 20**0.5], rel=1e-5
    )
    assert attention_distance(features, features * 7, 2).item() == pytest.approx(0, abs=1e-12)


def test_the_last_maps_of_a_residual_network_are_its_last_stages():
    net = small_resnet()
    image = torch.zeros(1, 3, 32, 32)
    assert last_map_modules(net, image, 3) == ["layer2", "layer3", "layer4"]
    maps = FeatureMaps(net, ["layer2", "layer4"])
    logits, found = maps(image)
    assert [tuple(x.shape) for x in found] == [(1, 4, 16, 16), (1, 16, 4, 4)]
    assert torch.equal(logits, net(image))
    maps.remove()
    assert not any(module._forward_hooks for module in net.modules())
