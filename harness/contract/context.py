"""The context of a run: device, random numbers, deadline, log."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from harness.contract.types import Numerics


class OutOfTimeError(Exception):
    """The cell's deadline has passed."""


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

    def log(self, step: int, **scalars: float) -> None:
        """Log the numbers of one step for the record, and check the deadline.

        Raises:
            OutOfTimeError: the deadline has passed.
        """
        self.scalars.append(
            {"step": float(step), **{name: float(x) for name, x in scalars.items()}}
        )
        self.check()

    def check(self) -> None:
        """Check the deadline.

        Raises:
            OutOfTimeError: it has passed.
        """
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise OutOfTimeError("the cell's deadline has passed")
