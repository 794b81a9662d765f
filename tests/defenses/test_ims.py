"""IMS: its options that are not the paper's."""

import torch

from harness.contract import Context
from harness.plan.registry import load
from tests.defenses.test_defenses import SHORT
from tests.helpers.planted_models import PER_COLOUR, clean_budget, planted, scores


def test_ims_hard_cuts_or_opens_every_channel_and_keeps_the_soft_network():
    method = load("defense", "ims")
    ctx = Context(torch.device("cpu"), torch.Generator().manual_seed(0))
    hyper = method.hyper(**{**SHORT["ims"], "hard": True, "stages": True})
    repaired = method.function(planted(), clean_budget(4), hyper, ctx)
    soft, filters = repaired.artifacts["mask.conv"], planted().conv.weight
    assert torch.equal(
        repaired.model.conv.weight, filters * (soft >= 0.5).float().view(-1, 1, 1, 1)
    )
    assert torch.equal(repaired.companions["soft"].conv.weight, filters * soft.view(-1, 1, 1, 1))
    assert set(repaired.companions) == {"inverse", "stage-A", "stage-B", "soft"}
    assert scores(repaired.companions["inverse"])[1] >= 0.99, (
        "the inverse network keeps the backdoor"
    )
    assert repaired.artifacts["histogram.mask"].sum() == 3 * PER_COLOUR + 2


def test_ims_without_selection_has_complementary_gates():
    method = load("defense", "ims")
    ctx = Context(torch.device("cpu"), torch.Generator().manual_seed(0))
    hyper = method.hyper(**{**SHORT["ims"], "selection": False, "rounds": 5, "initial_rounds": 0})
    kept = method.function(planted(), clean_budget(2), hyper, ctx).artifacts
    assert torch.allclose(kept["mask.conv"] + kept["inverse.conv"], torch.ones(3 * PER_COLOUR + 2))
    assert {row["stage"] for row in ctx.scalars} == {1.0, 2.0}
