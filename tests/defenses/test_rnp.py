"""RNP: unlearning and recovery on a planted backdoor."""

import pytest
import torch
from harness.defenses.rnp import Hyper, recover_masks, unlearn_
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_rnp_unlearns_the_task_and_recovers_it_within_bounds():
    net, budget = planted(), clean_budget(4)
    hyper = Hyper(unlearn_lr=0.1)
    gone = unlearn_(net, budget, hyper, cpu_context())
    assert F.cross_entropy(gone(budget.images), budget.labels) > 1
    masks = recover_masks(gone, budget, hyper, cpu_context())["norm"]
    assert masks.min() >= 0
    assert masks.max() <= 1
    assert masks.min() < 1


@pytest.mark.parametrize(
    ("milestones", "expected"), [((1, 3), [0.1, 0.01, 0.01, 0.001]), ((), [0.1] * 4)]
)
def test_rnp_unlearns_in_steps_of_the_learning_rate(monkeypatch, milestones, expected):
    seen, plain_step = [], torch.optim.SGD.step

    def step(self, *args):
        seen.append(self.param_groups[0]["lr"])
        return plain_step(self, *args)

    monkeypatch.setattr(torch.optim.SGD, "step", step)
    hyper = Hyper(unlearn_lr=0.1, unlearn_epochs=4, unlearn_to=0, unlearn_milestones=milestones)
    unlearn_(planted(), clean_budget(4), hyper, cpu_context())
    assert seen == pytest.approx(expected[: len(seen)])
    assert len(seen) >= 3
