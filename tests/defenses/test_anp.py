"""ANP: full batches, and a fixed threshold."""

from dataclasses import replace
from typing import ClassVar

import torch
from harness.defenses.anp import Hyper, anp, train_masks

from harness.data.augment import Augment
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
