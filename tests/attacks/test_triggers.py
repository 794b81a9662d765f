"""Triggers are exact: the pixels that they should change, no other, and the same after a reload."""

import numpy as np
import pytest
import torch
from PIL import Image

from harness.contract import Context, Goal, TrainingSet
from harness.plan.entries import resolve_method
from harness.toolbox.predict import apply_trigger


def poison(name, shape=(3, 32, 32), *, n=200, rate=0.1, target=0, folder=None, **hyper):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (n, *shape), generator=generator, dtype=torch.uint8)
    train = TrainingSet(images, torch.arange(n) % 10, 10)
    method = resolve_method("attack", {name: hyper}, folder).load()
    ctx = Context(torch.device("cpu"), torch.Generator().manual_seed(1))
    before = images.clone()
    result = method.function(train, Goal(target, rate, 10), method.hyper, ctx)
    assert torch.equal(images, before), "the caller's images were written to"
    return train, result, method.info.trigger


@pytest.mark.parametrize("name", ["badnets", "blended"])
@pytest.mark.parametrize("target", [3, "all-to-all"])
def test_share_labels_and_images_are_exact(name, target):
    train, found, trigger = poison(name, n=1234, rate=0.1, target=target)
    assert len(found.indices) == len(found.indices.unique()) == 123
    true = train.labels[found.indices]
    assert torch.equal(
        found.labels, (true + 1) % 10 if target == "all-to-all" else torch.full_like(true, 3)
    )
    assert target == "all-to-all" or bool((true == 3).any()), "the draw is over all classes"
    expected = apply_trigger(train.images[found.indices], lambda x: trigger(x, found.state))
    assert torch.equal(found.images, expected)


def test_a_trigger_of_another_shape_is_refused_and_never_spread_over_the_images():
    images = torch.zeros(300, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(
        ValueError, match=r"the trigger makes \(1, 3, 8, 8\) of images \(128, 3, 8, 8\)"
    ):
        apply_trigger(images, lambda chunk: chunk[:1])


def test_of_no_images_a_trigger_makes_none():
    none = torch.zeros(0, 3, 8, 8, dtype=torch.uint8)
    assert apply_trigger(none, lambda x: x).shape == none.shape


def test_badnets_changes_the_corner_alone():
    train, found, _ = poison("badnets")
    changed = (found.images != train.images[found.indices]).any(1).any(0)
    assert changed[29:, 29:].all()
    assert changed.sum() == 9
    assert (found.images[:, :, 29:, 29:] == 255).all()


def test_badnets_margin_size_and_value():
    train, found, _ = poison("badnets", shape=(1, 8, 8), size=2, margin=1, value=0.5)
    assert (found.images[:, :, 5:7, 5:7] == 128).all()
    untouched = torch.ones(8, 8, dtype=torch.bool)
    untouched[5:7, 5:7] = False
    assert torch.equal(found.images[..., untouched], train.images[found.indices][..., untouched])


def test_badnets_takes_a_patch_from_a_file(tmp_path):
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:2, :2] = (255, 0, 10)
    Image.fromarray(pixels).save(tmp_path / "patch.png")
    train, found, _ = poison("badnets", folder=tmp_path, image="patch.png")
    assert (
        found.images[:, :, :2, :2].permute(0, 2, 3, 1)
        == torch.tensor([255, 0, 10], dtype=torch.uint8)
    ).all()
    assert torch.equal(found.images[:, :, 2:], train.images[found.indices][:, :, 2:])


def test_blended_is_the_weighted_sum_rounded():
    train, found, _ = poison("blended", alpha=0.25)
    exact = 0.75 * train.images[found.indices].float() + 0.25 * 255 * found.state["pattern"]
    assert (found.images.float() - exact).abs().max() <= 0.5 + 1e-3


def test_blended_pattern_is_the_seeds_and_no_draw_of_the_victims():
    patterns = [
        poison("blended", n=n, pattern_seed=seed)[1].state["pattern"]
        for n, seed in ((50, 0), (99, 0), (50, 1))
    ]
    assert torch.equal(patterns[0], patterns[1])
    assert not torch.equal(patterns[0], patterns[2])


def test_blended_takes_a_pattern_from_a_file_and_fits_it(tmp_path):
    Image.new("RGB", (64, 48), (200, 100, 0)).save(tmp_path / "kitty.png")
    _, found, _ = poison("blended", folder=tmp_path, image="kitty.png")
    assert torch.allclose(
        found.state["pattern"],
        torch.tensor([200, 100, 0]).view(3, 1, 1) / 255 + torch.zeros(3, 32, 32),
    )


def test_the_content_of_an_image_file_is_in_the_key_and_its_path_is_not(tmp_path):
    for name, colour in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        Image.new("L", (4, 4), colour).save(tmp_path / name)
    identities = [
        resolve_method("attack", {"blended": {"image": x}}, tmp_path).identity
        for x in ("a.png", "b.png", "c.png")
    ]
    assert identities[0] == identities[1] != identities[2]
