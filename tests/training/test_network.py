"""Architectures: state dicts that other toolboxes can load, inputs in [0, 1]."""

import torch

from harness.models.preactresnet18 import Hyper, preactresnet18
from harness.toolbox.normalise import Normalise


def test_preactresnet18_is_interchangeable_with_backdoorbench():
    state = preactresnet18(3, 10, Hyper()).state_dict()
    assert len(state) == 102
    learned = [
        x
        for name, x in state.items()
        if not name.endswith(("running_mean", "running_var", "num_batches_tracked"))
    ]
    assert sum(x.numel() for x in learned) == 11_171_146
    assert [
        tuple(state[name].shape)
        for name in ("conv1.weight", "layer2.0.shortcut.0.weight", "linear.weight")
    ] == [
        (64, 3, 3, 3),
        (128, 64, 1, 1),
        (10, 512),
    ]
    assert {name.split(".")[0] for name in state} == {
        "conv1",
        "layer1",
        "layer2",
        "layer3",
        "layer4",
        "linear",
    }
    assert "layer1.0.shortcut.0.weight" not in state


def test_width_scales_every_stage():
    state = preactresnet18(1, 43, Hyper(width=3)).state_dict()
    assert state["layer4.1.conv2.weight"].shape == (24, 24, 3, 3)
    assert state["linear.weight"].shape == (43, 24)


def test_normalise_is_by_channel_and_keeps_out_of_the_state_dict():
    layer = Normalise((0.5, 0.0), (0.25, 1.0))
    out = layer(torch.tensor([1.0, 1.0]).view(1, 2, 1, 1))
    assert out.flatten().tolist() == [2.0, 1.0]
    assert not layer.state_dict()
