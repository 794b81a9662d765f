"""LMR: finds the class, and leaves the cut inputs at zero."""

import pytest
import torch
from harness.defenses.lmr import Hyper, backdoor_class, lmr, repulsion_loss
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_lmr_finds_the_target_class():
    assert backdoor_class(planted(), clean_budget(10), Hyper(), cpu_context()) == 0


def test_lmr_cuts_the_inputs_that_moved_most_for_good():
    hyper = Hyper(tuning_steps=5, share=0.1)
    repaired = lmr(planted(), clean_budget(5), hyper, cpu_context())
    cut = repaired.artifacts["cut_inputs"].bool()
    assert cut.sum() == 3
    assert repaired.model.linear.weight[:, cut].eq(0).all()
    assert not planted().linear.weight[:, cut].eq(0).all()
    assert repaired.artifacts["class"].tolist() == [0]


def test_lmr_loss_by_hand():
    logits, y = torch.tensor([[2.0, 0.5, 1.0], [4.0, 1.0, 0.0]]), torch.tensor([2, 0])
    hyper = Hyper(alpha=0.5, beta=0.25, repulsion_margin=3, class_margin=0.5)
    first = F.cross_entropy(logits[:1], y[:1]) + 0.5 * (2 - 1 + 3) + 0.25 * (2 - 1 + 0.5)
    expected = (first + 0.25 * 0) / 2
    assert repulsion_loss(logits, y, 0, hyper).item() == pytest.approx(expected.item())
