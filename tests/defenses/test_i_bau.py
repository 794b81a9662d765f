"""I-BAU: the scale of its perturbation, and the images that it perturbs."""

from dataclasses import replace

import pytest
import torch
from harness.defenses.i_bau import (
    PRESETS,
    Hyper,
    i_bau,
    inner_loss,
    outer_loss,
    perturbation_unit,
    project_to_ball,
)
from torch import nn
from torch.nn import functional as F

from harness.data.augment import Augment
from harness.toolbox.normalise import Normalise, pixel_unit
from tests.helpers.planted_models import clean_budget, cpu_context, planted


def test_i_bau_perturbs_normalised_images():
    bare, budget = planted(), clean_budget(2)
    net = nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.25, 0.5, 1.0)), bare)
    delta, hyper = torch.full((1, 3, 8, 8), 0.2), Hyper(penalty=0.5)
    expected = -F.cross_entropy(bare(net[0](budget.images) + 0.2), budget.labels) + 0.5 * 0.04 * 192
    loss = inner_loss(net, (budget.images, budget.labels), delta, hyper)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert pixel_unit(net).flatten().tolist() == [0.25, 0.5, 1.0]
    assert pixel_unit(bare).item() == 1


def normalised():
    return nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.25, 0.5, 1.0)), planted())


def test_a_perturbation_in_pixels_is_added_to_pixel_values():
    net, budget, delta = normalised(), clean_budget(2), torch.full((1, 3, 8, 8), 0.2)
    loss = inner_loss(net, (budget.images, budget.labels), delta, Hyper(penalty=0, unit="pixel"))
    expected = -F.cross_entropy(net(budget.images + 0.2), budget.labels)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("unit", "norm"), [("pixel", 8.0), ("std", 5.0)])
def test_the_ball_has_its_radius_in_pixel_values(unit, norm):
    factor = perturbation_unit(normalised(), Hyper(unit=unit))
    delta = torch.zeros(1, 3, 8, 8)
    delta[0, 0, 0, 0], delta[0, 1, 1, 1] = 8 * 0.6 / 0.25, 8 * 0.8 / 0.5
    delta = delta if unit == "std" else factor.new_tensor([0.25, 0.5, 1.0])[:, None, None] * delta
    assert (factor * delta).norm().item() == pytest.approx(8)
    assert (factor * project_to_ball(delta, factor, norm)).norm().item() == pytest.approx(norm)
    assert torch.equal(project_to_ball(delta, factor, 9.0), delta)
    assert torch.equal(project_to_ball(0 * delta, factor, 9.0), 0 * delta)


@pytest.mark.parametrize(("least", "perturbed"), [(0, 0), (1, 1), (3, 3)])
def test_at_least_so_many_images_of_a_batch_are_perturbed(least, perturbed):
    budget, changed = clean_budget(2), []

    class Watching(nn.Module):
        def forward(self, x):
            changed.append((x != budget.images).flatten(1).any(1).sum().item())
            return planted()(x)

        def parameters(self, recurse=True):
            return planted().parameters()

    delta, hyper = torch.full((1, 3, 8, 8), 0.2), Hyper(share=0.01, least=least)
    outer_loss(Watching(), (budget.images, budget.labels), delta, hyper, cpu_context())
    assert changed == [perturbed]


def test_the_authors_preset_does_not_augment_and_small_batches_are_plain_fine_tuning():
    class Forbidden(Augment):
        def __call__(self, images, generator):
            raise AssertionError("augmented")

    budget, preset = replace(clean_budget(2), augment=Forbidden()), PRESETS["authors"]
    tuned, expected = i_bau(planted(), budget, preset, cpu_context()), planted()
    optimiser = torch.optim.Adam(expected.parameters(), 1e-3)
    F.cross_entropy(expected(budget.images), budget.labels).backward()
    optimiser.step()
    for a, b in zip(tuned.parameters(), expected.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-5)
