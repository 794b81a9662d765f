"""Weights under other names are matched by order and shape, unless the names say otherwise."""

import re

import pytest
import torch

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


def torchvision(name):
    """Return a name of a residual network as torchvision has it."""
    return name.replace("shortcut", "downsample").replace("linear", "fc")


RENAMED = {
    "a public WideResNet": ("wrn_16_1", public_wrn),
    "other words": ("preactresnet18", torchvision),
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
    weights = {torchvision(name): x for name, x in squares.weights.items()}
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
