"""Weights across the border: ours have the normalisation as a first layer, BackdoorBench's networks none."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from harness.errors import UserError
from harness.network import build
from harness.plan import Victim

Weights = Mapping[str, torch.Tensor]


def outgoing(weights: Weights, victim: Victim) -> OrderedDict[str, torch.Tensor]:
    """Return a network's weights under BackdoorBench's names, in its order (which its loader trusts).

    Raises:
        UserError: they are not those of the victim's architecture, as a defense may leave them.
    """
    names = build(victim.model, victim.data).get_submodule("net").state_dict()
    found = {name.removeprefix("net."): weight for name, weight in weights.items()}
    _fit(found, names, victim.model.name)
    return OrderedDict((name, found[name].detach().cpu().contiguous().clone()) for name in names)


def incoming(path: Path, victim: Victim) -> nn.Module:
    """Return the victim's network with the weights of a ``defense_result.pt``, in eval mode.

    Raises:
        UserError: the file holds more than weights, or not those of the victim's architecture.
    """
    return incoming_weights(_read(path), victim)


def incoming_weights(weights: Weights, victim: Victim) -> nn.Module:
    """Return the victim's network with BackdoorBench's weights, in eval mode; errors as for ``incoming``."""
    network = build(victim.model, victim.data)
    found = {name.removeprefix("module."): weight for name, weight in weights.items()}
    net = network.get_submodule("net")
    _fit(found, net.state_dict(), victim.model.name)
    net.load_state_dict(found)
    return network.eval()


def _read(path: Path) -> Weights:
    """Return the weights in a result; nothing in the file is executed."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise UserError(f"{path.name}: refused, it holds more than weights: {error}") from error
    weights: Any = found.get("model") if isinstance(found, dict) else None
    if not isinstance(weights, dict) or not all(isinstance(x, torch.Tensor) for x in weights.values()):
        raise UserError(f"{path.name}: a dictionary with the weights under 'model' is needed")
    return weights


def _fit(found: Weights, wanted: Weights, architecture: str) -> None:
    """Raise a UserError that says what is missing, unexpected and mis-shaped, where anything is."""
    faults = {
        "missing": [name for name in wanted if name not in found],
        "unexpected": [name for name in found if name not in wanted],
        "of another shape": [x for x in wanted if x in found and found[x].shape != wanted[x].shape],
    }
    said = [f"{kind}: {', '.join(names[:5])}" for kind, names in faults.items() if names]
    if said:
        raise UserError(f"not the weights of {architecture}; {'; '.join(said)}")
