"""FMP: how many channels it cuts, and which."""

import torch
from harness.defenses.fmp import Hyper, fmp, prunable, weakest_channels
from torch import nn

from tests.helpers.planted_models import clean_budget, cpu_context, planted, small_resnet


def test_fmp_cuts_one_channel_of_sixty_four_and_none_of_smaller_layers():
    image = clean_budget(1).images[:1]
    net = nn.Sequential(
        nn.Conv2d(3, 130, 1), nn.BatchNorm2d(130), nn.Conv2d(130, 63, 1), nn.BatchNorm2d(63)
    ).eval()
    assert [name for name, _, _ in prunable(net, image, 64)] == ["0"]
    head = nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(63, 4))
    repaired = fmp(head, clean_budget(2), Hyper(epochs=1), cpu_context())
    assert list(repaired.artifacts) == ["mask.0.0"]
    assert (repaired.artifacts["mask.0.0"] == 0).sum() == 2


def test_fmp_cuts_in_every_convolution_and_in_the_norm_that_alone_takes_its_output():
    layers = list(prunable(small_resnet(), clean_budget(1).images[:1], 1))
    assert len(layers) == 1 + 4 * 2 * 2 + 3  # stem, blocks, shortcuts
    own = {name for name, _, norm in layers if norm is not None}
    assert own == {f"layer{stage}.{block}.conv1" for stage in range(1, 5) for block in range(2)}


def test_fmp_ranks_a_channel_by_the_accuracy_that_its_change_costs():
    net, budget = planted(), clean_budget(5)
    hyper = Hyper(eps=0.2, group=16)
    noise = torch.rand(budget.images.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    shifted = (budget.images + 0.01 * noise.sign()).clamp(0, 1)
    weakest = weakest_channels(net, "conv", (budget.images, budget.labels), shifted, hyper)
    assert weakest.tolist() == [30, 31]
