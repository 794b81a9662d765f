"""Training: augmentation per sample, schedules, and a loop that learns and repeats."""

import pytest
import torch
from torch import nn

from harness.contract import Context, OutOfTimeError, Recipe
from harness.data.augment import Augment
from harness.toolbox.fit import (
    _lr_schedule,
    fit,
)
from harness.toolbox.predict import as_float


def context(deadline=None):
    return Context(torch.device("cpu"), torch.Generator().manual_seed(0), deadline)


def test_crop_moves_every_sample_by_itself_and_invents_no_pixel():
    images = torch.arange(1, 26, dtype=torch.uint8).view(1, 1, 5, 5).repeat(200, 1, 1, 1)
    out = Augment(crop=1)(images, torch.Generator().manual_seed(0))
    padded = nn.functional.pad(images[0, 0], (1, 1, 1, 1))
    windows = {
        padded[r : r + 5, c : c + 5].numpy().tobytes(): (r, c) for r in range(3) for c in range(3)
    }
    seen = [windows[image[0].contiguous().numpy().tobytes()] for image in out]
    assert set(seen) == set(windows.values())


def test_flip_mirrors_about_half_and_leaves_the_rest():
    images = torch.arange(8, dtype=torch.uint8).view(1, 1, 2, 4).repeat(400, 1, 1, 1)
    out = Augment(flip=True)(images, torch.Generator().manual_seed(0))
    mirrored = torch.tensor([torch.equal(image, images[0].flip(2)) for image in out])
    same = torch.tensor([torch.equal(image, images[0]) for image in out])
    assert bool((mirrored | same).all())
    assert 150 < int(mirrored.sum()) < 250


def test_no_augmentation_is_the_identity():
    images = torch.rand(3, 1, 4, 4)
    assert torch.equal(Augment()(images, torch.Generator()), images)


def test_schedules_by_hand():
    assert [round(_lr_schedule(Recipe(), 4)(step), 4) for step in range(4)] == [
        1.0,
        0.8536,
        0.5,
        0.1464,
    ]
    onecycle = [round(_lr_schedule(Recipe(schedule="onecycle"), 10)(step), 4) for step in range(10)]
    assert onecycle == [0.5, 1.0, 1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert _lr_schedule(Recipe(schedule="constant"), 10)(7) == 1.0


def toy():
    torch.manual_seed(0)
    images = torch.rand(64, 1, 4, 4)
    return images, (images.mean((1, 2, 3)) > 0.5).long()


def network():
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)
    )


def test_fit_learns_and_gives_the_same_bits_twice():
    recipe = Recipe(epochs=20, batch=16, lr=0.1, precision="fp32")
    first, second = (fit(network(), toy(), recipe, Augment(crop=0), context()) for _ in range(2))
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True)
    )
    images, labels = toy()
    assert (first(images).argmax(1) == labels).float().mean() > 0.9
    assert not first.training


def test_uint8_and_float_images_train_alike():
    images = (toy()[0] * 255).round().to(torch.uint8)
    recipe = Recipe(epochs=2, batch=16, precision="fp32")
    trained = [
        fit(network(), (x, toy()[1]), recipe, Augment(), context())
        for x in (images, as_float(images))
    ]
    assert torch.equal(trained[0][4].weight, trained[1][4].weight)


def test_fewer_samples_than_a_batch_are_one_batch():
    images, labels = toy()
    ctx = context()
    fit(
        network(),
        (images[:5], labels[:5]),
        Recipe(epochs=3, batch=128, precision="fp32"),
        Augment(),
        ctx,
    )
    assert [row["step"] for row in ctx.scalars] == [0, 1, 2]


def test_a_deadline_ends_training():
    with pytest.raises(OutOfTimeError):
        fit(network(), toy(), Recipe(epochs=1000), Augment(), context(deadline=0.0))
