"""Adversarial noise on batch norm: within its bound, and harmful."""

import pytest
import torch
from torch.nn import functional as F

from harness.toolbox.masks.batchnorm import unit_scale_masks
from harness.toolbox.masks.noise import NoiseSearch, forward_with_noise, worst_noise
from tests.helpers.planted_models import clean_budget, cpu_context, planted


@pytest.mark.parametrize(
    ("search", "least", "largest"),
    [
        (NoiseSearch(0.3, 3), 0.29, 0.3),
        (NoiseSearch(0.3, clip=False), 0.5, 0.6),
    ],
    ids=["clipped", "free"],
)
def test_noise_stays_within_its_bound_and_raises_the_loss(search, least, largest):
    net, budget = planted(), clean_budget(4)
    masks, batch = unit_scale_masks(net), (budget.images, budget.labels)
    noise = worst_noise(net, masks, batch, search, cpu_context())
    size = torch.cat([x["norm"] for x in noise]).abs().max()
    assert least < size <= largest + 1e-6
    noisy = forward_with_noise(net, masks, budget.images, noise)
    clean = net(budget.images)
    assert F.cross_entropy(noisy, budget.labels) > F.cross_entropy(clean, budget.labels)
    assert all(parameter.grad is None for parameter in net.parameters())
