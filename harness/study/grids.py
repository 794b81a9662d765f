"""Lists among the settings of an entry multiply: one entry per combination of their values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from harness.contract import Kind
from harness.errors import UserError
from harness.plan.entries import PRESET, parse_entry
from harness.plan.registry import describe


class PlacedEntry(NamedTuple):
    """An entry of a list, and where it stands in the file."""

    position: int
    entry: Any


def multiply(kind: Kind, entries: Sequence[Any], base: Path) -> list[PlacedEntry]:
    """Return the entries, each as often as the lists among its settings ask for.

    ``- ims: {k: [5, 10]}`` is two entries, ``- ims: {k: [5, 10], sparsity: [1, 3]}`` four. A
    hyperparameter that takes a list takes a list of lists here. An entry that no method can have
    stays as it is, for whoever resolves it to refuse.
    """
    return [
        PlacedEntry(position, one)
        for position, entry in enumerate(entries)
        for one in _combinations(kind, entry, base)
    ]


def _combinations(kind: Kind, entry: Any, base: Path) -> list[Any]:
    try:
        name, settings = parse_entry(entry)
        hints = get_type_hints(describe(kind, name, base).hyper, include_extras=True)
    except (UserError, NameError):
        return [entry]
    axes = {
        key: values
        for key, values in settings.items()
        if (key in hints or key == PRESET) and _is_axis(values, hints.get(key))
    }
    if not axes:
        return [entry]
    return [
        {name: {**settings, **dict(zip(axes, values, strict=True))}}
        for values in itertools.product(*axes.values())
    ]


def _is_axis(values: Any, hint: Any) -> bool:
    """Tell whether a value of a hyperparameter is a list of several values of it."""
    if not isinstance(values, list) or not values:
        return False
    return all(isinstance(value, list) for value in values) if _takes_list(hint) else True


def _takes_list(hint: Any) -> bool:
    if get_origin(hint) in {list, tuple}:
        return True
    return any(_takes_list(part) for part in get_args(hint))
