"""Weights of foreign files, matched to one of our architectures by name and shape, never by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from harness.errors import UserError

Weights = dict[str, torch.Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "net", "model", "netC")
PREFIXES = ("module.", "model.", "net.")
"""Of the wrappers of DataParallel and the like; taken off where every name has it."""
SHOWN = 3


def state_dict_in(content: Any, where: str) -> Weights:
    """Return the state dict that a file holds, bare or under one of the usual keys.

    Raises:
        UserError: there is none.
    """
    if isinstance(content, Mapping):
        if content and all(isinstance(x, torch.Tensor) for x in content.values()):
            return {str(name): tensor for name, tensor in content.items()}
        for key in WRAPPERS:
            if isinstance(content.get(key), Mapping):
                return state_dict_in(content[key], where)
    held = (
        f"the keys {_some(map(str, content))}"
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise UserError(
        f"{where}: no state dict in it, bare or under {', '.join(WRAPPERS)}; it holds {held}"
    )


def fitted(weights: Weights, net: nn.Module, where: str) -> Weights:
    """Return the weights under the network's own names.

    Raises:
        UserError: names the missing, the unexpected and the mis-shaped keys.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    found = _without_prefixes(weights, wanted)
    shaped = {
        name for name in wanted.keys() & found.keys() if tuple(found[name].shape) != wanted[name]
    }
    faults = [
        f"{kind} {_some(names)}"
        for kind, names in (
            ("missing", [name for name in wanted if name not in found]),
            ("unexpected", [name for name in found if name not in wanted]),
            (
                "mis-shaped",
                [f"{x} {tuple(found[x].shape)}, not {wanted[x]}" for x in wanted if x in shaped],
            ),
        )
        if names
    ]
    if faults:
        raise UserError(f"{where}: not the weights of this architecture: {'; '.join(faults)}")
    if sparse := [name for name, x in found.items() if x.layout != torch.strided or x.is_quantized]:
        raise UserError(f"{where}: sparse or quantised weights: {_some(sparse)}")
    return found


def _without_prefixes(weights: Weights, wanted: Mapping[str, Any]) -> Weights:
    for prefix in PREFIXES:
        ours = all(name.startswith(prefix) for name in wanted)
        if weights and not ours and all(name.startswith(prefix) for name in weights):
            return _without_prefixes(
                {name.removeprefix(prefix): x for name, x in weights.items()}, wanted
            )
    return weights


def _some(names: Iterable[str]) -> str:
    """Return the first few names and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
