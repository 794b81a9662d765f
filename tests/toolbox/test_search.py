"""Searches by gradient, against closed forms and unrolled steps."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from harness.contract import TriggerInversion
from harness.data.augment import Augment
from harness.toolbox.search.adversarial import minimise_perturbation, sign_sgd
from harness.toolbox.search.double_backward import twice_differentiable
from harness.toolbox.search.hypergradient import hypergradient
from harness.toolbox.search.neural_cleanse import InvertedTrigger, anomaly_index, invert_class
from harness.toolbox.search.sam import displaced_weights, sam_ascent
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_sam_steps_on_a_quadratic():
    w = torch.tensor([3.0, -4.0], requires_grad=True)
    (gradient,) = torch.autograd.grad((w**2).sum() / 2, w)
    (step,) = sam_ascent([w], [gradient], 0.5)
    assert step.tolist() == pytest.approx([0.3, -0.4])
    (adaptive,) = sam_ascent([w], [gradient], 2.0, adaptive=True)
    length = math.hypot(9, 16)
    assert adaptive.tolist() == pytest.approx([2 * 27 / length, -2 * 64 / length])
    with displaced_weights([w], [step]):
        assert w.tolist() == pytest.approx([3.3, -4.4])
    assert w.tolist() == [3.0, -4.0]


def test_hypergradient_is_the_closed_form_and_the_unrolled_one_on_a_quadratic():
    """Inner: a w^2 / 2 - b h w, so w* = b h / a; outer: (w - c)^2 / 2 + h.

    Hence the derivative by h is (w* - c) b / a + 1.
    """
    a, b, c, lr = 2.0, 3.0, 0.5, 0.3
    h = torch.tensor([0.7], requires_grad=True)
    star = (b * h / a).detach().requires_grad_()

    def solver(w):
        return w - lr * (a * w - b * h)

    def outer(w):
        return ((w - c) ** 2 / 2 + h).sum()

    (found,) = hypergradient(outer(star), solver(star), star, [h], 200)
    assert found.item() == pytest.approx((star.item() - c) * b / a + 1, rel=1e-5)
    w = star.detach()
    for _ in range(5):
        w = solver(w)
    (unrolled,) = torch.autograd.grad(outer(w), h)
    (five,) = hypergradient(outer(star), solver(star), star, [h], 5)
    assert five.item() == pytest.approx(unrolled.item(), rel=1e-6)


def test_hypergradient_through_a_network_is_the_unrolled_one():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).double()
    x, weights = torch.randn(5, 3, dtype=torch.double), list(net.parameters())
    delta = torch.zeros(3, dtype=torch.double, requires_grad=True)

    def solver(d):
        loss = (net(x + d) - 1).square().mean() + 0.1 * d.square().sum()
        return d - 0.2 * torch.autograd.grad(loss, d, create_graph=True)[0]

    for _ in range(1000):
        delta = solver(delta).detach().requires_grad_()
    found = hypergradient(net(x + delta).sum(), solver(delta), delta, weights, 4)
    d = delta
    for _ in range(4):
        d = solver(d)
    unrolled = torch.autograd.grad(net(x + d).sum(), weights)
    for one, other in zip(found, unrolled, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_gradient_has_a_gradient_and_the_network_is_as_before():
    net = nn.Sequential(nn.Linear(3, 4), nn.Hardsigmoid(), nn.Linear(4, 1))
    x = torch.randn(5, 3, requires_grad=True)
    expected = net(x)
    with twice_differentiable(net):
        assert torch.allclose(net(x), expected)
        (slope,) = torch.autograd.grad(net(x).square().sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.square().sum(), x)
    assert second.abs().sum() > 0
    assert "forward" not in vars(net[1])


def test_sign_descent_moves_every_element_by_its_rate_and_stops_at_the_bound():
    target = torch.tensor([1.0, -1.0, 0.1])
    delta = torch.full((3,), 0.1, requires_grad=True)
    found = minimise_perturbation(
        delta, lambda d: (d - target).square().sum(), sign_sgd(delta, 0.25), 2, 0.5
    )
    assert found.tolist() == pytest.approx([0.5, -0.4, 0.1])


def test_a_trigger_mixes_and_outliers_are_below_the_median():
    trigger = InvertedTrigger(torch.full((1, 2, 2), 0.25), torch.ones(3, 2, 2))
    assert trigger.apply(torch.zeros(1, 3, 2, 2)).unique().tolist() == [0.25]
    assert trigger.size() == 1
    found = anomaly_index(torch.tensor([10.0, 11.0, 9.0, 2.0, 30.0]))
    assert found.tolist() == pytest.approx([0, -1 / 1.4826, 1 / 1.4826, 8 / 1.4826, -20 / 1.4826])


@pytest.mark.parametrize("augment", [True, False])
def test_an_inversion_augments_if_it_is_told_to(augment):
    seen = []

    class Counting(Augment):
        def __call__(self, images, generator):
            seen.append(len(images))
            return images

    budget = replace(clean_budget(2), augment=Counting())
    hyper = TriggerInversion(inversion_epochs=2, inversion_steps=3, inversion_augment=augment)
    invert_class(planted(), budget, 0, hyper, cpu_context())
    assert seen == ([8] * 6 if augment else [])
