"""Converts state dicts: our networks begin with a normalisation layer, BackdoorBench's do not."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import match_state_dict, state_dict_in
from harness.plan.spec import Victim
from harness.training.network import build


def to_backdoorbench(
    weights: Mapping[str, torch.Tensor], victim: Victim
) -> OrderedDict[str, torch.Tensor]:
    """Return a network's weights under BackdoorBench's names, in the order that its loader needs.

    Raises:
        UserError: they do not fit the victim's architecture, which a defense may have changed.
    """
    net = build(victim.model, victim.data).get_submodule("net")
    matched = match_state_dict(dict(weights), net, f"a model of {victim.model.name}").weights
    return OrderedDict(
        (name, matched[name].detach().cpu().contiguous().clone()) for name in net.state_dict()
    )


def from_backdoorbench(
    weights: Mapping[str, torch.Tensor], victim: Victim, where: str
) -> nn.Module:
    """Return the victim's network with BackdoorBench's weights, in eval mode.

    Raises:
        UserError: weights are missing, unexpected or mis-shaped; the message names them.
    """
    network = build(victim.model, victim.data)
    net = network.get_submodule("net")
    net.load_state_dict(match_state_dict(dict(weights), net, where).weights)
    return network.eval()


def read_network(path: Path, victim: Victim, where: str) -> nn.Module:
    """Return the victim's network with the weights in a file, without running anything in it.

    ``where`` is the file's name in messages.

    Raises:
        UserError: the file is unsafe, or its weights do not fit the victim's architecture.
    """
    return from_backdoorbench(state_dict_in(load_file(path), where), victim, where)
