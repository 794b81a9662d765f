"""BAN: noise leaves nothing behind."""

import pytest
import torch
from harness.defenses.ban import Hyper, ban
from torch.nn import functional as F

from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_ban_without_weight_on_noise_is_fine_tuning():
    budget, expected = clean_budget(3), planted().train()
    hyper = Hyper(epochs=1, lam=0, noisy_statistics=False, weight_decay=0)
    tuned = ban(planted(), budget, hyper, cpu_context())
    loss = F.cross_entropy(expected(budget.images), budget.labels)
    loss.backward()
    for name, x in expected.named_parameters():
        assert torch.allclose(tuned.get_parameter(name), x - 0.005 * x.grad, atol=1e-6)
    assert tuned.state_dict().keys() == planted().state_dict().keys()
    assert torch.allclose(tuned.norm.running_mean, expected.norm.running_mean)


@pytest.mark.parametrize(("noisy", "passes"), [(True, 3), (False, 1)])
def test_ban_moves_running_statistics_with_every_pass_or_with_clean_ones(noisy, passes):
    hyper = Hyper(epochs=1, noisy_statistics=noisy)
    net, expected = ban(planted(), clean_budget(3), hyper, cpu_context()), planted().train()
    for _ in range(passes):
        expected(clean_budget(3).images)
    assert torch.allclose(net.norm.running_mean, expected.norm.running_mean, atol=1e-7)
    assert not torch.allclose(net.norm.running_mean, planted().norm.running_mean, atol=1e-7)
