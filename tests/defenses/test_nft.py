"""NFT: bounds of the masks by layer, and weights that stay."""

import math

import torch
from harness.defenses.nft import Hyper, clip_, nft

from harness.toolbox.masks.batchnorm import batchnorm_layers, forward_with_scales, unit_scale_masks
from tests.helpers.planted_models import clean_budget, cpu_context, small_resnet


def test_nft_masks_may_change_more_the_later_their_layer():
    masks = {name: mask - 2 for name, mask in unit_scale_masks(small_resnet()).items()}
    clip_(masks, Hyper())
    least = [mask.min().item() for mask in masks.values()]
    assert len(least) == 16
    assert all(
        abs(x - 0.8 * math.exp(-number / 2)) < 1e-6 for number, x in enumerate(least, start=1)
    )


def test_nft_changes_scales_alone_and_folds_its_masks():
    net, ctx = small_resnet(), cpu_context()
    budget = clean_budget(2)
    hyper = Hyper(rounds=2, iterations=2, lr=0.5)
    repaired = nft(net, budget, hyper, ctx)
    masks = {name.removeprefix("mask."): x for name, x in repaired.artifacts.items()}
    assert min(mask.min() for mask in masks.values()) < 0.9
    assert max(mask.max() for mask in masks.values()) <= 1
    victim = small_resnet()
    for (name, layer), (_, old) in zip(
        batchnorm_layers(repaired.model), batchnorm_layers(victim), strict=True
    ):
        assert torch.equal(layer.weight, old.weight * masks[name])
        old.running_mean.copy_(layer.running_mean)
        old.running_var.copy_(layer.running_var)
    expected = forward_with_scales(victim, budget.images, masks)
    assert torch.allclose(repaired.model(budget.images), expected, atol=1e-6)
    scales = {f"{name}.weight" for name, _ in batchnorm_layers(victim)}
    for name, x in victim.named_parameters():
        assert name in scales or torch.equal(x, repaired.model.get_parameter(name))
