"""What a number is: its name for a reader, which direction is better, and how it is written."""

from __future__ import annotations

from typing import NamedTuple


class Quantity(NamedTuple):
    """One column of numbers."""

    label: str
    better: int
    """1 if higher is better, -1 if lower is."""
    share: bool = True
    """A share, written in percent; otherwise written in its own unit."""
    least: float | None = 0.0
    """The smallest value that it can have; None if there is no end."""
    most: float | None = 1.0
    """The largest, likewise."""
