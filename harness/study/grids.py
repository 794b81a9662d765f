"""Lists among the settings of an entry multiply: one entry per combination of their values."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from harness.contract import Kind
from harness.errors import UserError
from harness.plan.entries import PRESET, parse_entry
from harness.plan.registry import Method, ask


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
        lists = {key: value for key, value in settings.items() if isinstance(value, list) and value}
        axes = _axes(kind, name, base, lists) if lists else []
    except UserError:
        return [entry]
    if not axes:
        return [entry]
    return [
        {name: {**settings, **dict(zip(axes, values, strict=True))}}
        for values in itertools.product(*(lists[key] for key in axes))
    ]


def _axes(kind: Kind, ref: str, base: Path, lists: dict[str, list[Any]]) -> list[str]:
    """Return which of the settings that are lists have several values of a hyperparameter."""

    def axes(method: Method) -> list[str]:
        hints = get_type_hints(method.hyper, include_extras=True)
        return [
            key
            for key, values in lists.items()
            if key == PRESET or (key in hints and _is_axis(values, hints[key]))
        ]

    return [str(key) for key in ask(kind, ref, axes, base)]


def _is_axis(values: list[Any], hint: Any) -> bool:
    """Tell whether a value of a hyperparameter is a list of several values of it."""
    return not _takes_list(hint) or all(isinstance(value, list) for value in values)


def _takes_list(hint: Any) -> bool:
    if get_origin(hint) in {list, tuple}:
        return True
    return any(_takes_list(part) for part in get_args(hint))
