"""Where and how a method runs: device, random numbers, deadline, log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class OutOfTimeError(Exception):
    """The cell's deadline has passed."""


@dataclass(frozen=True)
class Context:
    """Where and how a method runs."""

    device: torch.device
    generator: torch.Generator
    """On the CPU, seeded for this victim or cell alone: the same draws on every device."""
    deadline: float | None = None
    """On the clock of ``time.monotonic``; None means no limit."""
    scalars: list[dict[str, float]] = field(default_factory=list)

    def log(self, step: int, **scalars: float) -> None:
        """Keep named numbers of a step in the record; raise OutOfTimeError past the deadline."""
        self.scalars.append(
            {"step": float(step), **{name: float(x) for name, x in scalars.items()}}
        )
        self.check()

    def check(self) -> None:
        """Raise OutOfTimeError when the deadline has passed."""
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTimeError("the cell's deadline has passed")
