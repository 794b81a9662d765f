"""PAM: its step, and Neural Cleanse's triggers under it."""

import pytest
import torch
from harness.defenses.pam import Hyper, Tuning, pam, with_a_trigger
from torch.nn import functional as F

from harness.toolbox.search.neural_cleanse import InvertedTrigger
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def tune(net, epochs, rho):
    tuning = Tuning(net, Hyper(rho=rho, batchnorm="eval"))
    tuning.tune_(clean_budget(3), epochs, lambda x: x, cpu_context())
    return tuning


def test_pam_takes_a_plain_first_step_and_returns_from_its_steps():
    budget, expected = clean_budget(3), planted()
    F.cross_entropy(expected(budget.images), budget.labels).backward()
    net = planted()
    tuning = tune(net, 1, 0.5)
    for name, x in expected.named_parameters():
        assert torch.allclose(net.get_parameter(name), x - 0.01 * x.grad, atol=1e-6)
    back = tuning.step_back()
    assert torch.stack([step.norm() for step in back]).norm().item() == pytest.approx(0.5, rel=1e-4)
    direction = (planted().linear.weight - net.linear.weight).flatten()
    assert F.cosine_similarity(back[-2].flatten(), direction, dim=0) > 0.999


def test_pam_takes_later_gradients_on_the_way_back():
    straight, back = planted(), planted()
    tune(straight, 3, 0)
    tune(back, 3, 0.5)
    assert not torch.equal(straight.linear.weight, back.linear.weight)


def test_pam_shows_one_of_the_triggers_on_a_part_of_a_batch():
    white = InvertedTrigger(torch.ones(1, 8, 8), torch.full((3, 8, 8), 2.0))
    black = InvertedTrigger(torch.ones(1, 8, 8), torch.full((3, 8, 8), -1.0))
    images, ctx = clean_budget(5).images, cpu_context()
    means = {
        round(x.mean().item())
        for _ in range(20)
        for x in with_a_trigger(images, [white, black], Hyper(), ctx)
    }
    assert {2, -1} < means
    changed = with_a_trigger(images, [white], Hyper(), ctx) != images
    assert changed.flatten(1).any(1).sum() == 5


@pytest.mark.parametrize(("every", "inversions"), [(True, 3), (False, 1)])
def test_pam_inverts_in_every_round_or_in_the_first(every, inversions):
    short = {"width": 2, "pretraining_epochs": 1, "mask_epochs": 1, "generator_epochs": 1}
    hyper = Hyper(**short, rounds=3, tuning_epochs=1, invert_every_round=every)
    ctx = cpu_context()
    pam(planted(), clean_budget(2), hyper, ctx)
    assert len(ctx.scalars) == 1 + 2 * inversions + 3


def test_pam_on_triggers_that_neural_cleanse_does_not_flag_changes_nothing(monkeypatch):
    import harness.defenses.pam as module

    found = [], torch.zeros(0)
    monkeypatch.setattr(module, "invert_all_classes", lambda *_: found)
    net = pam(planted(), clean_budget(2), Hyper(triggers="nc"), cpu_context())
    for name, x in planted().state_dict().items():
        assert torch.equal(net.state_dict()[name], x)
