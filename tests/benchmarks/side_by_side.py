"""Two ways to the same result, timed side by side in one run: a plain reference, and ours.

A reference runs in a fresh process with as many threads and none of our settings, as a script does:
how freed memory is kept (``harness.training.device``) is part of ours, and no task profits from
those before it. On a CPU the clock counts the seconds that a process was given, of one thread, as a
worker has; on a GPU the wall's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
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


Timed = Callable[[], tuple[float, T]]
"""Work that returns the seconds that it took, and its result."""


def here(work: Callable[[], T]) -> Timed[T]:
    """Time work in this process, with our settings."""
    return partial(_timed, work)


def as_script(work: Callable[[], T]) -> Timed[T]:
    """Time picklable work in one separate process; sending it there does not count."""
    threads = (torch.get_num_threads(),)
    script = ProcessPoolExecutor(1, get_context("spawn"), _same_mathematics, threads)
    return lambda: script.submit(_timed, work).result()


def side_by_side(reference: Timed[T], ours: Timed[T], repeats: int = 3) -> Sides[T]:
    """Run both in turns, so that a busy machine hurts both alike; each is given one run to warm up.

    Both must start from the same state every time: what they change they make themselves.
    """
    both = (reference, ours)
    results = [work()[1] for work in both]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(repeats):
        for i, work in enumerate(both):
            taken, results[i] = work()
            seconds[i].append(taken)
    return Sides(median(seconds[0]), median(seconds[1]), *results)


def _same_mathematics(threads: int) -> None:
    torch.set_num_threads(threads)
    torch.backends.cudnn.allow_tf32 = False


def _timed(work: Callable[[], T]) -> tuple[float, T]:
    start = clock()
    result = work()
    return clock() - start, result


def agreement(reference: torch.Tensor, ours: torch.Tensor, tolerance: float) -> str:
    """Return how far two results are apart.

    Raises:
        ValueError: further than the tolerance, or of other shapes: then the two are not the same
            task.
    """
    if reference.shape != ours.shape:
        raise ValueError(f"reference and ours differ in shape: {reference.shape} and {ours.shape}")
    apart = float((reference.double() - ours.double()).abs().max())
    if not apart <= tolerance:
        raise ValueError(f"reference and ours are {apart:.2g} apart, more than {tolerance:g}")
    return f"{apart:.1g} of {tolerance:g}"
