"""Fields that a ``Hyper`` got after results had been stored.

The key of a cell holds every hyperparameter, so a new field would move the keys of all cells of its
method, although its default changes no number, and their stored results would be lost. A field that
is declared with ``added`` is left out of keys while it has its default.
"""

from __future__ import annotations

from dataclasses import Field, field, fields
from typing import Any

_ADDED = "added"


def added(default: Any) -> Any:
    """Declare a field that was added later, with its default.

    For example ``augment: bool = added(True)`` in a ``Hyper``.

    Args:
        default: immutable, and what the method did before it had the field; None, and not a number,
            for "without", because a key holds no infinity.
    """
    return field(default=default, metadata={_ADDED: True})


def left_out_of_keys(hyper: Any) -> set[str]:
    """Return the names of the later fields of a ``Hyper`` that have their defaults."""
    return {item.name for item in fields(hyper) if _is_unused(item, hyper)}


def _is_unused(item: Field[Any], hyper: Any) -> bool:
    return bool(item.metadata.get(_ADDED)) and getattr(hyper, item.name) == item.default
