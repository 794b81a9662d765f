"""The context of a run: device, random numbers, deadline, log."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from harness.contract.types import Numerics


PRINTED_EVERY = 5.0
"""Seconds between two steps that are printed, so that what runs for long is heard of."""


class OutOfTimeError(Exception):
    """The cell's deadline has passed."""


class _Pace:
    """Tells when something is due that is done every few seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def is_due(self) -> bool:
        now = time.monotonic()
        due = now - self._last >= PRINTED_EVERY
        self._last = now if due else self._last
        return due


@dataclass(frozen=True)
class Context:
    """The context of a run, for every method."""

    device: torch.device
    generator: torch.Generator
    """A generator on the CPU, so that draws are the same on every device. Its seed depends on this
    victim or cell alone."""
    deadline: float | None = None
    """The end of the time limit by ``time.monotonic``; None for no limit."""
    scalars: list[dict[str, float]] = field(default_factory=list)
    """The steps that were logged."""
    numerics: Numerics = "fp32"
    """The arithmetic that is set while the method runs."""
    _pace: _Pace = field(default_factory=_Pace)
    """The pace at which steps are printed."""

    def log(self, step: int, **scalars: float) -> None:
        """Log the numbers of one step for the record, and check the deadline.

        A step is printed every few seconds: ``defuse status`` and ``defuse logs`` show it.

        Raises:
            OutOfTimeError: the deadline has passed.
        """
        numbers = {name: float(x) for name, x in scalars.items()}
        self.scalars.append({"step": float(step), **numbers})
        if self._pace.is_due():
            shown = ", ".join(f"{name} {x:.4g}" for name, x in numbers.items())
            with suppress(OSError, ValueError):  # the method has closed it
                print(f"step {step}: {shown}", flush=True)  # noqa: T201
        self.check()

    def check(self) -> None:
        """Check the deadline.

        Raises:
            OutOfTimeError: it has passed.
        """
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTimeError("the cell's deadline has passed")
