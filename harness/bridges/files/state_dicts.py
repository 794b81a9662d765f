"""Weights of imported files, matched to an architecture by name and shape, not by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from harness.errors import UserError

Weights = dict[str, torch.Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "net", "model", "netC")
PREFIXES = ("module.", "model.", "net.")
"""Prefixes of wrappers such as DataParallel; removed if every name has one."""
SHOWN = 3
"""Names listed in a message before the rest is counted."""


def state_dict_in(content: Any, where: str) -> Weights:
    """Return the state dict in a file's content, bare or under one of the usual keys.

    Raises:
        UserError: there is none.
    """
    if isinstance(content, Mapping):
        if content and all(isinstance(x, torch.Tensor) for x in content.values()):
            return {str(name): tensor for name, tensor in content.items()}
        for key in WRAPPERS:
            if isinstance(content.get(key), Mapping):
                return state_dict_in(content[key], where)
    what = (
        f"the keys {_first(map(str, content))}"
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise UserError(
        f"{where}: no state dict in it, bare or under {', '.join(WRAPPERS)}; it holds {what}"
    )


def match_state_dict(weights: Weights, net: nn.Module, where: str) -> Weights:
    """Return the weights under the network's own names.

    Raises:
        UserError: keys are missing, unexpected or mis-shaped, or weights are sparse or quantised;
            the message names them.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    matched = _without_prefixes(weights, expected)
    shapes = {name: tuple(tensor.shape) for name, tensor in matched.items()}
    faults = {
        "missing": [name for name in expected if name not in shapes],
        "unexpected": [name for name in shapes if name not in expected],
        "mis-shaped": [
            f"{name} {shapes[name]}, not {shape}"
            for name, shape in expected.items()
            if shapes.get(name, shape) != shape
        ],
    }
    if text := "; ".join(f"{kind} {_first(names)}" for kind, names in faults.items() if names):
        raise UserError(f"{where}: not the weights of this architecture: {text}")
    if other := [
        name for name, x in matched.items() if x.layout != torch.strided or x.is_quantized
    ]:
        raise UserError(f"{where}: sparse or quantised weights: {_first(other)}")
    return matched


def _without_prefixes(weights: Weights, expected: Mapping[str, Any]) -> Weights:
    for prefix in PREFIXES:
        ours = all(name.startswith(prefix) for name in expected)
        if weights and not ours and all(name.startswith(prefix) for name in weights):
            return _without_prefixes(
                {name.removeprefix(prefix): x for name, x in weights.items()}, expected
            )
    return weights


def _first(names: Iterable[str]) -> str:
    """Return the first few names and the number of others."""
    listed = list(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
