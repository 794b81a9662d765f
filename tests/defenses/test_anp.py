"""ANP: full batches, and noise that stays within its bound."""

from dataclasses import replace
from typing import ClassVar

import torch
from harness.defenses.anp import Hyper, anp, train_masks, worst_noise
from torch.nn import functional as F

from harness.data.augment import Augment
from harness.toolbox.masks import batchnorm
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_anp_draws_full_batches_from_a_budget_of_any_size():
    class Counting(Augment):
        seen: ClassVar[list[int]] = []

        def __call__(self, images, generator):
            self.seen.append(len(images))
            return images

    small = replace(clean_budget(2), augment=Counting())
    train_masks(planted(), small, Hyper(iterations=3, batch=20), cpu_context())
    assert Counting.seen == [20, 20, 20]


def test_anp_noise_stays_within_eps_and_raises_the_loss():
    net, budget = planted(), clean_budget(4)
    masks, hyper = batchnorm.unit_scale_masks(net), Hyper(eps=0.3, steps=3)
    scale, shift = worst_noise(net, masks, (budget.images, budget.labels), hyper, cpu_context())
    noise = torch.cat([scale["norm"], shift["norm"]]).abs()
    assert noise.max() <= 0.3
    assert noise.max() > 0.29
    moved = batchnorm.forward_with_scales(
        net, budget.images, {"norm": 1 + scale["norm"]}, {"norm": 1 + shift["norm"]}
    )
    assert F.cross_entropy(moved, budget.labels) > F.cross_entropy(
        net(budget.images), budget.labels
    )


def test_anp_noise_that_is_not_clipped_reaches_twice_eps():
    net, budget = planted(), clean_budget(4)
    masks, hyper = batchnorm.unit_scale_masks(net), Hyper(eps=0.3, clip_noise=False)
    scale, shift = worst_noise(net, masks, (budget.images, budget.labels), hyper, cpu_context())
    noise = torch.cat([scale["norm"], shift["norm"]]).abs()
    assert 0.5 < noise.max() <= 0.6


def test_anp_with_a_fixed_threshold_cuts_below_it_and_holds_nothing_out():
    class Counting(Augment):
        seen: ClassVar[set[int]] = set()

        def __call__(self, images, generator):
            self.seen |= {round(x.sum().item(), 3) for x in images}
            return images

    budget = replace(clean_budget(5), augment=Counting())
    hyper = Hyper(iterations=30, batch=20, lr=1.0, threshold=0.7)
    result = anp(planted(), budget, hyper, cpu_context())
    cut = result.artifacts["mask.norm"] <= 0.7
    assert 0 < cut.sum() < len(cut)
    assert torch.equal(result.model.norm.weight == 0, cut | (planted().norm.weight == 0))
    assert Counting.seen == {round(x.sum().item(), 3) for x in budget.images}
