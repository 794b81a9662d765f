"""BTI-DBF: its mask, its U-Net and what inversion leaves alone."""

import copy

import pytest
import torch
from harness.defenses.bti_dbf import Hyper, bti_dbf
from torch import nn

from harness.toolbox.attention import last_map_module
from harness.toolbox.normalise import Normalise
from harness.toolbox.search.feature_triggers import TriggerGenerator, benign_mask
from harness.toolbox.unet import UNet, unet_levels
from tests.helpers.planted_models import clean_budget, cpu_context, planted, small_resnet

SMALL = {"width": 2, "pretraining_epochs": 2, "mask_epochs": 3, "generator_epochs": 2}


@pytest.mark.parametrize("authors", [False, True])
def test_inversion_leaves_the_model_as_it_is(authors):
    model, budget = small_resnet(), clean_budget(3)
    before = copy.deepcopy(model.state_dict())
    hyper = Hyper(**SMALL, authors_losses=authors)
    generator = TriggerGenerator(model, budget, hyper, cpu_context())
    mask = generator.invert(model)
    assert mask.shape == (1, 16, 1, 1)
    assert 0 < mask.min() < mask.max() < 1
    assert all(torch.equal(before[name], x) for name, x in model.state_dict().items())
    assert generator.target in range(4)


@pytest.mark.parametrize("authors", [False, True])
def test_as_in_the_authors_code_the_unet_sees_what_the_masks_training_left(authors, monkeypatch):
    hyper, model = Hyper(**SMALL, authors_losses=authors), small_resnet()
    generator, seen = TriggerGenerator(model, clean_budget(3), hyper, cpu_context()), []
    monkeypatch.setattr(generator, "_train", lambda net, mask: seen.append(net))
    generator.invert(model)
    (norm,) = (net.layer1[0].bn1 for net in seen)
    steps = norm.num_batches_tracked - model.layer1[0].bn1.num_batches_tracked
    assert torch.equal(norm.running_mean, model.layer1[0].bn1.running_mean) is not authors
    assert bool(steps) is authors
    assert not norm.training


def test_the_class_is_found_under_noise_on_normalised_images():
    net = nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.1, 0.1, 0.1)), planted())
    generator, seen = TriggerGenerator(net, clean_budget(9), Hyper(**SMALL), cpu_context()), []
    generator.net.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    generator._likeliest_class(net)
    noise = torch.cat(seen) - net[0](clean_budget(9).images)
    assert noise.std().item() == pytest.approx(0.03, rel=0.05)


def test_the_mask_keeps_what_classifies_clean_images():
    net, budget, hyper = planted(), clean_budget(10), Hyper(mask_epochs=150, mask_lr=0.05)
    start = benign_mask(net, "relu", budget, Hyper(mask_epochs=1, mask_lr=1e-9), cpu_context())
    mask = benign_mask(net, "relu", budget, hyper, cpu_context())
    gained = (mask - start).mean((0, 2, 3))
    assert gained[:30].min() > 0.05
    assert gained[30:].max() < gained[:30].mean() / 2


def test_a_share_of_a_batch_and_one_image_are_changed():
    generator = TriggerGenerator(planted(), clean_budget(2), Hyper(**SMALL), cpu_context())
    images = clean_budget(5).images
    changed = (generator.reverse(images, 0.1) != images).flatten(1).any(1)
    assert changed.sum() == 3


def test_changes_are_measured_on_normalised_images():
    net = nn.Sequential(Normalise((0.4, 0.5, 0.6), (0.25, 0.25, 0.25)), planted())
    generator = TriggerGenerator(net, clean_budget(1), Hyper(**SMALL), cpu_context())
    images = torch.full((1, 3, 8, 8), 0.5)
    assert generator.image_change(images, images + 0.05).item() == pytest.approx(0.04, rel=1e-4)


def test_bti_dbf_pretrains_once_and_takes_three_parts_per_round():
    ctx = cpu_context()
    bti_dbf(planted(), clean_budget(1), Hyper(**SMALL, rounds=3, unlearning_epochs=4), ctx)
    assert len(ctx.scalars) == 2 + 3 * (3 + 2 + 4)
    default = Hyper()
    per_round = default.mask_epochs + default.generator_epochs + default.unlearning_epochs
    assert default.pretraining_epochs + default.rounds * per_round == 450


def test_the_last_map_is_that_before_pooling():
    assert last_map_module(planted(), clean_budget(1).images[:1]) == "relu"
    assert last_map_module(small_resnet(), clean_budget(1).images[:1]) == "layer4"
    with pytest.raises(ValueError, match="no feature maps"):
        last_map_module(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), torch.rand(1, 3, 8, 8))


@pytest.mark.parametrize(("side", "levels"), [(32, 4), (28, 3), (64, 4), (8, 2)])
def test_the_unet_returns_images_of_the_same_size(side, levels):
    assert unet_levels(side, 4) == levels
    images = torch.rand(2, 1, side, side, generator=torch.Generator().manual_seed(0))
    assert UNet(1, 2, levels)(images).shape == images.shape


def test_the_unet_has_as_many_weights_as_its_authors():
    # counted in their code, without the layers that it never uses
    with torch.device("meta"):
        assert sum(weight.numel() for weight in UNet(3, 32, 4).parameters()) == 10_987_011
