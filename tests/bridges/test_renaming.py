"""Weights under other names are matched by order and shape, unless the names say otherwise."""

import itertools
import re

import pytest
import torch
import torchvision

from harness.bridges.files.state_dicts import match_state_dict
from harness.errors import UserError
from harness.plan.registry import load
from tests.helpers.backdoorbench_records import MODEL, TARGET
from tests.helpers.imported_studies import run_victim, scores, write_study

OWN_TRIGGER = """
def corner(images):
    stamped = images.clone()
    stamped[..., -2:, -2:] = 1
    return stamped
"""


def network(name, **hyper):
    method = load("model", name)
    return method.function(3, 10, method.hyper(**hyper))


def public_wrn(name):
    """Return a name as the common public implementation of wide residual networks has it."""
    name = re.sub(r"^(block\d)\.", r"\1.layer.", name)
    return name.replace("shortcut", "convShortcut")


def torchvision_name(name):
    """Return a name of a residual network as torchvision has it."""
    return name.replace("shortcut", "downsample").replace("linear", "fc")


RENAMED = {
    "a public WideResNet": ("wrn_16_1", public_wrn),
    "other words": ("preactresnet18", torchvision_name),
    "numbers from zero": ("resnet18", lambda x: re.sub("(conv|bn)1", r"\g<1>0", x)),
    "numbers from zero, all": (
        "wrn_16_1",
        lambda x: re.sub(r"(conv|bn|block)(\d)", lambda y: y[1] + str(int(y[2]) - 1), x),
    ),
    "numbers with gaps": (
        "vgg19_bn",
        lambda x: re.sub(r"features\.(\d+)", lambda y: f"features.{2 * int(y[1])}", x),
    ),
}


@pytest.mark.parametrize(("name", "change"), RENAMED.values(), ids=RENAMED)
@pytest.mark.parametrize("counters", [True, False])
def test_a_consistent_renaming_is_matched(name, change, counters):
    net = network(name)
    own = net.state_dict()
    weights = {
        f"module.{change(x)}": y
        for x, y in own.items()
        if counters or not x.endswith("num_batches_tracked")
    }
    match = match_state_dict(weights, net, "file")
    assert set(match.weights) == set(own)
    assert all(torch.equal(match.weights[x], y) for x, y in own.items())
    assert match.note.startswith("file: ")
    assert "weights are matched to the architecture by their order and shape, as " in match.note
    assert "\n" not in match.note


def published_wrn():
    """Return the names in WRN-16-1 files that the repositories of NAD and ABL publish, in order."""
    statistics = ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    names = ["conv1.weight"]
    for stage, block in itertools.product((1, 2, 3), (0, 1)):
        at = f"block{stage}.layer.{block}"
        for i in (1, 2):
            names += [*(f"{at}.bn{i}.{x}" for x in statistics), f"{at}.conv{i}.weight"]
        if stage > 1 and block == 0:
            names.append(f"{at}.convShortcut.weight")
    return [*names, *(f"bn1.{x}" for x in statistics), "fc.weight", "fc.bias"]


def test_the_renamed_wide_resnet_has_the_names_of_published_files():
    assert [public_wrn(name) for name in network("wrn_16_1").state_dict()] == published_wrn()


def on_meta(build):
    with torch.device("meta"):
        return build()


@pytest.mark.parametrize("name", ["vgg19_bn", "mobilenet_v3_large", "vit_b_16"])
def test_weights_of_torchvision_are_matched(name):
    theirs = on_meta(lambda: getattr(torchvision.models, name)(num_classes=10)).state_dict()
    match = match_state_dict(theirs, on_meta(lambda: network(name)), "file")
    plain = {own.removeprefix("1."): x for own, x in match.weights.items()}
    assert set(plain) == set(theirs)
    assert all(plain[x].shape == y.shape for x, y in theirs.items())


def test_torchvision_s_stem_for_large_images_is_refused_with_what_differs():
    theirs = on_meta(lambda: torchvision.models.resnet18(num_classes=10)).state_dict()
    message = "mis-shaped conv1.weight (64, 3, 7, 7), not (64, 3, 3, 3)"
    with pytest.raises(UserError, match=re.escape(message)):
        match_state_dict(theirs, on_meta(lambda: network("resnet18")), "file")


def test_own_names_need_no_word():
    net = network("wrn_16_1")
    assert not match_state_dict(net.state_dict(), net, "file").note


def swapped(weights, one, other):
    """Put the weights of two modules at each other's place; the names go along."""
    names = [
        re.sub(
            f"(?<![a-z]){one}(?!\\d)|(?<![a-z]){other}(?!\\d)",
            lambda x: other if x[0] == one else one,
            name,
        )
        for name in weights
    ]
    return dict(zip(names, weights.values(), strict=True))


@pytest.mark.parametrize(("one", "other"), [("conv1", "conv2"), ("bn1", "bn2")])
def test_names_that_say_otherwise_than_the_order_are_refused(one, other):
    net = network("preactresnet18")
    weights = {public_wrn(name).replace("linear", "fc"): x for name, x in net.state_dict().items()}
    inner = {x: y for x, y in weights.items() if x.startswith("layer1.1")}
    changed = dict(zip(inner, swapped(inner, one, other), strict=True))
    renamed = {changed.get(x, x): y for x, y in weights.items()}
    with pytest.raises(UserError, match=r"not the weights .*; by its order, ") as caught:
        match_state_dict(renamed, net, "file")
    assert "\n" not in str(caught.value)


def test_another_order_of_shapes_is_refused_with_what_differs():
    net = network("wrn_16_1")
    weights = {public_wrn(name): x for name, x in net.state_dict().items()}
    first = next(iter(weights))
    moved = {**{x: y for x, y in weights.items() if x != first}, first: weights[first]}
    message = "in order, block1.layer.0.bn1.weight (16,) is at the place of conv1.weight"
    with pytest.raises(UserError, match=re.escape(message)):
        match_state_dict(moved, net, "file")


def test_a_renamed_checkpoint_has_the_scores_of_its_own(squares, tmp_path, capfd):
    (tmp_path / "own.py").write_text(OWN_TRIGGER)
    weights = {torchvision_name(name): x for name, x in squares.weights.items()}
    torch.save(weights, tmp_path / "net.pth")
    entry = {
        "checkpoint": "net.pth",
        "model": MODEL,
        "data": squares.entry,
        "target": TARGET,
        "trigger": "own.py:corner",
    }
    assert scores(run_victim(write_study(tmp_path, [entry]), tmp_path / "out")) == squares.scores
    assert "net.pth: " in capfd.readouterr().err
