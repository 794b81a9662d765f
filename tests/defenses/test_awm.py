"""AWM: small budgets make steps, masks fold, and the perturbation keeps its norm."""

import pytest
import torch
from harness.defenses.awm import Hyper, MaskedNetwork, awm, settings, universal_perturbation
from torch import nn

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_awm_takes_five_batches_of_a_budget_of_any_size():
    assert settings(Hyper(), 4) == (0.99, 100, 4, 5)
    assert settings(Hyper(), 100) == (0.99, 100, 32, 20)
    assert settings(Hyper(), 1000) == (0.9, 1000, 128, 40)
    assert settings(Hyper(alpha=0, tau=7, batch=50), 100) == (0, 7, 50, 10)


@pytest.mark.parametrize("mask", ["convolutions", "batchnorm"])
def test_awm_folds_masks_between_0_and_1(mask):
    net, images = MaskedNetwork(planted(), mask), clean_budget(2).images
    assert torch.equal(net(images), planted()(images))
    for values in net.masks.values():
        values.data.uniform_(0, 1)
    masked = net(images)
    assert torch.allclose(net.fold_()(images), masked, atol=1e-5)
    repaired = awm(planted(), clean_budget(1), Hyper(mask=mask, rounds=1, lr=0.3), cpu_context())
    weight = "conv" if mask == "convolutions" else "norm"
    share = getattr(repaired.model, weight).weight / getattr(planted(), weight).weight
    assert share.min() >= 0
    assert share.min() < 0.6
    assert share.max() <= 1 + 1e-6
    assert repaired.artifacts[f"mask.{weight}.weight"].item() == pytest.approx(share.mean().item())


def test_awm_has_something_to_mask():
    with pytest.raises(ValueError, match="AWM is to mask batchnorm; this network has none"):
        MaskedNetwork(nn.Conv2d(3, 4, 3), "batchnorm")


def test_awm_scales_its_perturbation_into_a_ball():
    net, chosen = MaskedNetwork(planted(), "convolutions"), settings(Hyper(tau=3), 20)
    hyper = Hyper(perturbation_lr=1000)
    delta = universal_perturbation(net, clean_budget(5), chosen, hyper, cpu_context())
    assert delta.shape == (1, 3, 8, 8)
    assert delta.abs().sum().item() == pytest.approx(3, rel=1e-4)
