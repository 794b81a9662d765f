"""MM-BM: where its caps sit, and how they follow their cost."""

import pytest
import torch
from harness.defenses.mm_bm import Hyper, chosen_sites, initial_caps, mm_bm

from harness.models.resnet18 import Hyper as Width
from harness.models.resnet18 import resnet18
from tests.helpers.planted_models import clean_budget, cpu_context, planted, small_resnet


def test_mm_bm_caps_the_first_activation_and_the_last_of_two_sizes():
    assert chosen_sites([64, 64, 16, 64, 16, 4]) == [0, 3, 4]
    assert chosen_sites([9, 9]) == [0, 1]
    assert chosen_sites([9]) == [0]


def test_mm_bm_caps_stem_and_two_stages_of_residual_networks():
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    net = resnet18(3, 4, Width(width=2)).eval()
    caps = initial_caps(net, images, 8)
    assert list(caps) == ["relu", "layer1.1.relu", "layer2.1.relu"]
    shapes = [[tuple(cap.shape) for cap in site if cap.requires_grad] for site in caps.values()]
    assert shapes == [[(2, 1, 1)], [(2, 1, 1)], [(4, 1, 1)]]
    assert [len(site) for site in caps.values()] == [1, 2, 2]
    preactivation = initial_caps(small_resnet(), images, 8)
    assert list(preactivation) == ["layer1.0.bn1", "layer2.0.bn1", "layer3.0.bn1"]


@pytest.mark.parametrize(("cost", "fall"), [(1e-9, False), (0.5, True)])
def test_mm_bm_lowers_caps_by_their_cost(cost, fall):
    repaired = mm_bm(planted(), clean_budget(3), Hyper(cost=cost, epochs=10), cpu_context())
    cap = repaired.model.relu.cap0
    assert ((cap < 7.5).all() if fall else (cap > 7.5).any()).item()
    for name, x in planted().named_parameters():
        assert torch.equal(repaired.model.get_parameter(name), x)
