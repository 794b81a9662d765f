"""Grad-Prune: scores by hand, and which filters of a planted backdoor it cuts."""

import pytest
from torch.nn import functional as F

from harness.toolbox.grad_prune import cut_filter_, filter_scores, worst_filter
from tests.helpers.planted_models import clean_budget, planted, small_resnet


def test_grad_prune_score_is_the_mean_absolute_gradient_of_a_filter():
    net, budget = small_resnet(), clean_budget(3, triggers=True)
    scores = filter_scores(net, budget, batch=5)
    loss = sum(
        F.cross_entropy(net(x), y)
        for x, y in zip(budget.triggered.split(5), budget.labels.split(5), strict=True)
    )
    loss.backward()
    layer = net.layer3[0].conv1
    by_hand = [filter_.abs().sum().item() / filter_.numel() for filter_ in layer.weight.grad]
    assert scores["layer3.0.conv1"].tolist() == pytest.approx(by_hand, rel=1e-4)


def test_grad_prune_cuts_the_trigger_filters_of_a_planted_backdoor_first():
    net, budget, cut = planted(), clean_budget(4, triggers=True), []
    for _ in range(2):
        cut.append(worst_filter(filter_scores(net, budget, 128), cut))
        cut_filter_(net, cut[-1])
    assert {index for _, index in cut} == {30, 31}
    assert net.norm.weight[30:].tolist() == [0, 0]
    assert net.conv.weight[30:].abs().sum() == 0
