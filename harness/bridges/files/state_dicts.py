"""Weights of imported files, matched to an architecture by name and shape, not by position."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from harness.bridges.files.renaming import rename
from harness.errors import UserError

Weights = dict[str, torch.Tensor]
WRAPPERS = ("state_dict", "model_state_dict", "net", "model", "netC")
PREFIXES = ("module.", "model.", "net.")
"""Prefixes of wrappers such as DataParallel; removed if every name has one."""
COMPILED = "_orig_mod."
"""What ``torch.compile`` puts before the names of a module, wherever it is."""
NESTED = 4
"""The most wrappers around a state dict, and the most prefixes of a name."""
COUNTER = "num_batches_tracked"
"""The counter of a batch-norm layer, which predictions don't depend on; old files lack it."""
LONGEST_NAME = 80
SHOWN = 3
"""Names listed in a message before the rest is counted."""


def state_dict_in(content: Any, where: str) -> Weights:
    """Return the state dict in a file's content, bare or under some of the usual keys.

    Raises:
        UserError: there is none.
    """
    for _ in range(NESTED):
        if not isinstance(content, Mapping):
            break
        if content and all(isinstance(x, torch.Tensor) for x in content.values()):
            return {str(name): tensor for name, tensor in content.items()}
        inner = (content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping))
        if (wrapped := next(inner, None)) is None:
            break
        content = wrapped
    what = (
        f"the keys {first_names(str(x) for x in content)}"
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise UserError(
        f"{where}: no state dict in it, bare or under {', '.join(WRAPPERS)}; it holds {what}"
    )


class Match(NamedTuple):
    """Weights under a network's own names."""

    weights: Weights
    note: str = ""
    """One line for the user; empty if the names were the network's own."""


def match_state_dict(weights: Weights, net: nn.Module, where: str) -> Match:
    """Return the weights under the network's own names.

    Raises:
        UserError: keys are missing, unexpected or mis-shaped, or weights are no plain numbers of
            the network's kind; the message names them.
    """
    own = net.state_dict()
    expected = _shapes(own)
    matched, note = _without_prefixes(weights, expected), ""
    renaming = rename(_shapes(matched, counters=False), _shapes(own, counters=False))
    if renaming.names and any(name not in expected for name in matched):
        changed = {name: own for name, own in renaming.names.items() if name != own}
        example = next(iter(changed.items()), ("", ""))
        note = (
            f"{where}: {len(changed)} weights are matched to the architecture by their order and "
            f"shape, as {first_names([example[0]])} to {example[1]}"
        )
        matched = {renaming.names[x]: matched[x] for x in matched if x in renaming.names}
    if not any(name.endswith(COUNTER) for name in matched):
        matched |= {name: x for name, x in own.items() if name.endswith(COUNTER)}
    shapes = _shapes(matched)
    faults = {
        "missing": [name for name in expected if name not in shapes],
        "unexpected": [name for name in shapes if name not in expected],
        "mis-shaped": [
            f"{name} {shapes[name]}, not {shape}"
            for name, shape in expected.items()
            if shapes.get(name, shape) != shape
        ],
    }
    if text := "; ".join(f"{kind} {first_names(names)}" for kind, names in faults.items() if names):
        differs = f"; {renaming.fault}" if faults["unexpected"] and renaming.fault else ""
        raise UserError(f"{where}: not the weights of this architecture: {text}{differs}")
    _check_kinds(matched, own, where)
    return Match(matched, note)


def _shapes(
    weights: Mapping[str, torch.Tensor], *, counters: bool = True
) -> dict[str, tuple[int, ...]]:
    return {
        name: tuple(x.shape)
        for name, x in weights.items()
        if counters or not name.endswith(COUNTER)
    }


def _check_kinds(weights: Weights, own: Mapping[str, torch.Tensor], where: str) -> None:
    """Raise a UserError if weights are not plain numbers of the network's kind."""
    if other := [
        name for name, x in weights.items() if x.layout != torch.strided or x.is_quantized
    ]:
        raise UserError(f"{where}: sparse or quantised weights: {first_names(other)}")
    if other := [
        f"{name} of {x.dtype}, not {own[name].dtype}"
        for name, x in weights.items()
        if x.is_complex()
        or x.dtype == torch.bool
        or x.is_floating_point() != own[name].is_floating_point()
    ]:
        raise UserError(f"{where}: weights of another kind: {first_names(other)}")


def _without_prefixes(weights: Weights, expected: Mapping[str, Any]) -> Weights:
    names = list(weights)
    if not any(COMPILED in name for name in expected):
        names = [name.replace(COMPILED, "") for name in names]
    for _ in range(NESTED):
        for prefix in PREFIXES:
            ours = all(name.startswith(prefix) for name in expected)
            if names and not ours and all(name.startswith(prefix) for name in names):
                names = [name.removeprefix(prefix) for name in names]
    return dict(zip(names, weights.values(), strict=True)) if _differ(names) else weights


def _differ(names: list[str]) -> bool:
    return len(set(names)) == len(names)


def first_names(names: Iterable[str]) -> str:
    """Return the first few names and the number of others."""
    listed = [name if name.isprintable() else ascii(name) for name in names]
    listed = [x if len(x) <= LONGEST_NAME else f"{x[:LONGEST_NAME]}..." for x in listed]
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return ", ".join(listed[:SHOWN]) + more
