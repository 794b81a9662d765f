"""A part of the state of a process that a method can change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """A part of the state of the process."""

    get: Callable[[], Any]
    set: Callable[[Any], object] | None = None
    """None for what can't be put back."""


def attribute_of(owner: Any, name: str) -> Setting:
    """Return the setting that an attribute is."""
    return Setting(lambda: getattr(owner, name), lambda value: setattr(owner, name, value))


def container(owner: Any) -> Setting:
    """Return the setting of a dict or list that is changed in place."""
    if isinstance(owner, list):
        return Setting(owner.copy, lambda value: owner.__setitem__(slice(None), value))
    return Setting(lambda: dict(owner), lambda value: (owner.clear(), owner.update(value)))
