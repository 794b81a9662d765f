"""RNP: unlearning and recovery on a planted backdoor."""

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
