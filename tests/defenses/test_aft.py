"""AFT: adversarial examples within their bound and within [0, 1]."""

import torch
from harness.defenses.aft import Hyper, adversarial_examples
from torch.nn import functional as F

from tests.helpers.planted_models import BLACK_AND_WHITE, SignedPixels, clean_budget, planted


def test_aft_examples_stay_within_their_bound_and_are_images():
    net, budget = planted(), clean_budget(5)
    x, y = budget.images, budget.labels
    shifted = adversarial_examples(net, x, y, Hyper())
    assert (shifted - x).abs().max() <= 6 / 255 + 1e-6
    assert shifted.min() >= 0
    assert shifted.max() <= 1
    assert F.cross_entropy(net(shifted), y) > 1.5 * F.cross_entropy(net(x), y)
    assert all(parameter.grad is None for parameter in net.parameters())


def test_aft_takes_seven_steps_of_a_fifth():
    black = torch.full((1, 3, 8, 8), 0.5)
    shifted = adversarial_examples(planted(), black, torch.tensor([3]), Hyper(eps=1.0))
    largest = (shifted - black).abs().max().item()
    assert abs(largest - 7 * 6 / 255 / 5) < 1e-6


def test_black_and_white_pixels_move_as_the_others_do():
    """Their gradient is that of the loss alone: no bound of the pixel value cuts it."""
    moved = adversarial_examples(
        SignedPixels(), BLACK_AND_WHITE, torch.tensor([0]), Hyper()
    ).flatten()
    eps = 6 / 255  # class 0 loses where pixels of weight 1 fall and those of weight -1 rise
    assert torch.allclose(moved.flatten(), torch.tensor([0.0, eps, 1 - eps, 1.0]), atol=1e-6)
