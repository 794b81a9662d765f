"""BNP: divergence and moments by hand, on augmented images."""

import math
from dataclasses import replace

import pytest
import torch
from harness.defenses.bnp import Hyper, bnp, clean_moments, divergence

from harness.data.augment import Augment
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_bnp_divergence_of_a_pair_by_hand():
    p = torch.tensor([1.0, 0.0]), torch.tensor([1.0, 4.0])
    q = torch.tensor([0.0, 0.0]), torch.tensor([4.0, 4.0])
    assert divergence(p, q).tolist() == pytest.approx([math.log(2) + 2 / 8 - 0.5, 0.0])


def test_bnp_moments_are_those_of_the_layer_input():
    net, images = planted(), clean_budget(5).images
    before = net.conv(images).detach()
    (mean, var) = clean_moments(net, images, chunk=7)["norm"]
    assert torch.allclose(mean, before.mean((0, 2, 3)), atol=1e-5)
    assert torch.allclose(var, before.var((0, 2, 3), unbiased=False), atol=1e-5)


def test_bnp_looks_at_augmented_images_as_the_running_statistics_did():
    class Black(Augment):
        def __call__(self, images, generator):
            return torch.zeros_like(images)

    def kept(budget):
        return bnp(planted(), budget, Hyper(), cpu_context()).artifacts["mask.norm"].tolist()

    plain = clean_budget(5)
    assert kept(replace(plain, augment=Black())) == kept(replace(plain, images=0 * plain.images))
    assert kept(replace(plain, augment=Black())) != kept(plain)


def test_bnp_may_keep_the_shift_of_a_cut_channel():
    budget = clean_budget(5)
    cut = bnp(planted(), budget, Hyper(u=1), cpu_context()).model.norm
    kept = bnp(planted(), budget, Hyper(u=1, keep_shift=True), cpu_context()).model.norm
    gone = cut.weight == 0
    assert torch.equal(kept.weight, cut.weight)
    assert gone[-2:].all()
    assert cut.bias[-2:].tolist() == [0, 0]
    assert torch.equal(kept.bias, planted().norm.bias)
