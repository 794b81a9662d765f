"""Weights across the border: ours have the normalisation as a first layer, BackdoorBench's networks none."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from harness.bridges.files.safe_torch_load import load_file
from harness.bridges.files.state_dicts import fitted, state_dict_in
from harness.plan.spec import Victim
from harness.training.network import build


def outgoing(weights: Mapping[str, torch.Tensor], victim: Victim) -> OrderedDict[str, torch.Tensor]:
    """Return a network's weights under BackdoorBench's names, in its order (which its loader trusts).

    Raises:
        UserError: they are not those of the victim's architecture, as a defense may leave them.
    """
    net = build(victim.model, victim.data).get_submodule("net")
    found = fitted(dict(weights), net, f"a model of {victim.model.name}")
    return OrderedDict(
        (name, found[name].detach().cpu().contiguous().clone()) for name in net.state_dict()
    )


def incoming(weights: Mapping[str, torch.Tensor], victim: Victim, where: str) -> nn.Module:
    """Return the victim's network with BackdoorBench's weights, in eval mode.

    Raises:
        UserError: names the missing, the unexpected and the mis-shaped ones.
    """
    network = build(victim.model, victim.data)
    net = network.get_submodule("net")
    net.load_state_dict(fitted(dict(weights), net, where))
    return network.eval()


def read_network(path: Path, victim: Victim, where: str) -> nn.Module:
    """Return the victim's network with the weights in a file, which messages call ``where``.

    Nothing that the file names is run.

    Raises:
        UserError: it holds more than weights, or not those of the victim's architecture.
    """
    return incoming(state_dict_in(load_file(path), where), victim, where)
