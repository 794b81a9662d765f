"""CNP: needs no labels, finds the class, and cuts a share of all channels."""

from dataclasses import replace

import pytest
import torch
from harness.defenses.cnp import Hyper, Views, cnp, contrast, invert_trigger, likely_target
from torch.nn import functional as F

from harness.toolbox.masks.batchnorm import batchnorm_layers, unit_scale_masks
from tests.helpers.planted_models import clean_budget, cpu_context, planted, small_resnet

SHORT = Hyper(trigger_passes=2, passes=2, repeats=1)


def test_cnp_does_not_look_at_labels():
    budget = clean_budget(3)
    shuffled = replace(budget, labels=budget.labels.flip(0))
    first, second = (cnp(planted(), x, SHORT, cpu_context()) for x in (budget, shuffled))
    for name, x in first.model.state_dict().items():
        assert torch.equal(x, second.model.state_dict()[name])


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1])
def test_cnp_cuts_a_share_of_all_channels(share):
    hyper = replace(SHORT, share=share)
    repaired = cnp(small_resnet(), clean_budget(2), hyper, cpu_context())
    scales = torch.cat([layer.weight for _, layer in batchnorm_layers(repaired.model)])
    assert (scales == 0).sum() == max(1, int(share * len(scales)))


def test_cnp_finds_the_target_and_a_trigger_for_it():
    budget, ctx = clean_budget(10), cpu_context()
    assert likely_target(planted(), budget, Hyper(), ctx) == 0
    trigger = invert_trigger(planted(), budget, 0, Hyper(trigger_lr=0.02), ctx)
    assert (planted()(trigger.apply(budget.images)).argmax(1) == 0).float().mean() > 0.9
    assert trigger.mask.min() >= 0
    assert trigger.mask.max() <= 1


def test_cnp_searches_noise_against_what_the_masked_network_predicts(monkeypatch):
    import harness.defenses.cnp as module

    net, budget, ctx = planted(), clean_budget(5), cpu_context()
    masks = {name: torch.zeros_like(mask) for name, mask in unit_scale_masks(net).items()}
    searched, views = [], []
    search, compare = module.worst_noise, module.contrast
    monkeypatch.setattr(module, "worst_noise", lambda *a: searched.append(a[2][1]) or search(*a))
    monkeypatch.setattr(module, "contrast", lambda *a: views.extend(a[0]) or compare(*a))
    Views(net, "relu").loss(masks, budget.images, budget.images, Hyper(), ctx)
    assert searched[0].unique().numel() == 1  # without its channels it predicts one class
    assert net(budget.images).argmax(1).unique().numel() == 4
    assert [view.shape for view in views] == [(20, 32)] * 3  # means over the 8x8 positions


def test_cnp_contrast_by_hand():
    generator = torch.Generator().manual_seed(0)
    views = tuple(torch.randn(4, 6, generator=generator) for _ in range(3))
    original, backdoored = (torch.randn(4, 6, generator=generator) for _ in range(2))
    expected = 0.0
    for n in range(4):
        row = [
            F.cosine_similarity(v[n], o[n], dim=0) for o in (original, backdoored) for v in views
        ]
        scaled = torch.stack(row) / 0.3
        expected += sum((scaled.logsumexp(0) - scaled[i]).item() for i in range(3)) / 3 / 4
    assert contrast(views, original, backdoored, 0.3).item() == pytest.approx(expected, rel=1e-5)
