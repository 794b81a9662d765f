"""Two ways to the same result, timed side by side in one process: a plain reference, and ours.

On a CPU the clock counts the seconds that this process was given, which other work on the machine does not
change; with one thread, as a worker has, they are the seconds on an idle machine. On a GPU it is the wall's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table."""

    task: str
    ours: float
    """Seconds."""
    reference: float | None = None
    """Seconds; None where there is nothing to compare with."""
    least: float | None = None
    """The ratio that is to be reached."""
    most: float | None = None
    """The seconds that are to be kept."""
    share: float | None = None
    """Of what the machine was measured to do with convolutions or matrices, see ``peak``."""
    agreement: str = ""
    """How far the two results are apart, and how far they may be."""

    @property
    def ratio(self) -> float | None:
        return None if self.reference is None else self.reference / self.ours

    @property
    def bar(self) -> str:
        """Return the bar, and whether it was met here."""
        if self.least is not None and self.ratio is not None:
            return f">= {self.least:g} x: {'met' if self.ratio >= self.least else 'MISSED'}"
        if self.most is not None:
            return f"< {self.most:g} s: {'met' if self.ours < self.most else 'MISSED'}"
        return ""


@dataclass(frozen=True)
class Sides(Generic[T]):
    """Median seconds of both, and what their last runs returned."""

    reference_s: float
    ours_s: float
    reference: T
    ours: T


def clock() -> float:
    """Return the time in seconds, when all work that was started is done."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def side_by_side(reference: Callable[[], T], ours: Callable[[], T], repeats: int = 3) -> Sides[T]:
    """Run both in turns, so that a busy machine hurts both alike; each is given one run to warm up.

    Both must start from the same state every time: what they change they make themselves.
    """
    results = [reference(), ours()]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for i, work in enumerate((reference, ours)):
            start = clock()
            results[i] = work()
            seconds[i].append(clock() - start)
    return Sides(median(seconds[0]), median(seconds[1]), *results)


def agreement(reference: torch.Tensor, ours: torch.Tensor, tolerance: float) -> str:
    """Return how far two results are apart.

    Raises:
        ValueError: further than the tolerance, or of other shapes: then the two are not the same task.
    """
    if reference.shape != ours.shape:
        raise ValueError(f"reference and ours differ in shape: {reference.shape} and {ours.shape}")
    apart = float((reference.double() - ours.double()).abs().max())
    if not apart <= tolerance:
        raise ValueError(f"reference and ours are {apart:.2g} apart, more than {tolerance:g}")
    return f"{apart:.1g} of {tolerance:g}"
