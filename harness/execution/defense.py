"""Calls a defense: what it takes is measured, what it returns is checked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import nn

from harness.contract import Defended
from harness.store.record import safe_text
from harness.training.device import peak_memory_mb, peak_reserved_mb, reset_peak_memory, wait_for

FIELD_TYPES: dict[str, type] = {"artifacts": torch.Tensor, "companions": nn.Module, "notes": str}
"""What the values of the dicts in ``Defended`` are."""


class Cost(NamedTuple):
    """What running a defense takes."""

    seconds: float
    peak_mem_mb: float | None
    """None where an external script ran."""
    peak_reserved_mb: float | None = None
    n_clean: int = 0
    """Size of the clean budget."""


def measured(
    defend: Callable[[], Any], device: torch.device, *, memory: bool = True
) -> tuple[Any, Cost]:
    """Run a defense; return what it returns, its seconds and, where asked for, its peak memory."""
    reset_peak_memory(device)
    start = time.perf_counter()
    returned = defend()
    wait_for(device)
    seconds = time.perf_counter() - start
    if not memory:
        return returned, Cost(seconds, None)
    return returned, Cost(seconds, peak_memory_mb(device), peak_reserved_mb(device))


def as_defended(returned: object) -> Defended:
    """Return what a defense returned as a Defended whose texts any record can hold.

    Raises:
        TypeError: it is neither a model nor a Defended, or it has a field of another type.
    """
    if isinstance(returned, nn.Module):
        return Defended(returned)
    if not isinstance(returned, Defended):
        kind = type(returned).__name__
        raise TypeError(f"a defense returns an nn.Module or a Defended, not {kind}")
    model: object = returned.model
    if not isinstance(model, nn.Module):
        raise TypeError(f"Defended.model is an nn.Module, not {type(model).__name__}")
    for field, types in FIELD_TYPES.items():
        _check_field(field, getattr(returned, field), types)
    return replace(
        returned,
        companions={safe_text(name): net for name, net in returned.companions.items()},
        notes={safe_text(name): safe_text(x) for name, x in returned.notes.items()},
    )


def _check_field(field: str, values: object, kind: type) -> None:
    if not isinstance(values, dict):
        raise TypeError(f"Defended.{field} is a dict, not {type(values).__name__}")
    for name, value in values.items():
        if not isinstance(name, str):
            raise TypeError(f"a name in Defended.{field} is a str, not {type(name).__name__}")
        if not isinstance(value, kind):
            needed, given = kind.__name__, type(value).__name__
            raise TypeError(
                f"Defended.{field}[{safe_text(name, 100)!r}] is a {needed}, not {given}"
            )
