"""Matches the weights of an architecture that differs from ours by the names of its modules alone.

Both list their weights in the order in which the modules are made. If leaf names (``weight``,
``running_mean``) and shapes agree at every place, that order gives each module of the file one of
the network. Names that both have must not say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

Shapes = Mapping[str, tuple[int, ...]]
LONGEST_NAME = 200
"""Longer names are no module's."""


class Renaming(NamedTuple):
    """The names of a file's weights in the network, or what stands against one."""

    names: dict[str, str]
    """The network's name by the file's; empty if there is no renaming."""
    fault: str = ""


def rename(weights: Shapes, ours: Shapes) -> Renaming:
    """Match a file's weights to a network's by their order; counters left out."""
    if len(weights) != len(ours) or max(map(len, weights), default=0) > LONGEST_NAME:
        return Renaming({})
    modules: dict[str, str] = {}
    for (name, shape), (own, needed) in zip(weights.items(), ours.items(), strict=True):
        module, _, leaf = name.rpartition(".")
        own_module, _, own_leaf = own.rpartition(".")
        if leaf != own_leaf or shape != needed:
            return Renaming({}, f"in order, {name} {shape} is at the place of {own} {needed}")
        if modules.setdefault(module, own_module) != own_module:
            return Renaming({}, f"in order, {module} is both {modules[module]} and {own_module}")
    if len(set(modules.values())) < len(modules):
        return Renaming({}, "in order, two of its modules are one of the architecture's")
    if fault := _contradiction(modules):
        return Renaming({}, fault)
    return Renaming(dict(zip(weights, ours, strict=True)))


def _contradiction(modules: Mapping[str, str]) -> str:
    """Return where the names that both sides know say otherwise than the order."""
    words = {_word(own) for own in modules.values()}
    known = set(modules.values())
    numbered: dict[str, dict[tuple[int, ...], tuple[int, ...]]] = {}
    for module, own in modules.items():
        fault = f"by its order, {module} is {own}, but its name says otherwise"
        for name, own_name, names in ((module, own, known), (_word(module), _word(own), words)):
            if _skeleton(name) != _skeleton(own_name):
                if name in names:
                    return fault
                continue
            numbers = numbered.setdefault(_skeleton(name), {})
            if numbers.setdefault(_numbers(name), _numbers(own_name)) != _numbers(own_name):
                return fault
    for skeleton, numbers in numbered.items():
        own_numbers = [numbers[key] for key in sorted(numbers)]
        if any(a >= b for a, b in pairwise(own_numbers)):
            return f"by its order, the numbers of {skeleton} are not in the architecture's order"
    return ""


def _word(module: str) -> str:
    """Return the last part of a module's name that is no number."""
    return next((x for x in reversed(module.split(".")) if not x.isdecimal()), "")


def _skeleton(name: str) -> str:
    return re.sub(r"\d+", "#", name)


def _numbers(name: str) -> tuple[int, ...]:
    return tuple(int(x) for x in re.findall(r"\d+", name))
