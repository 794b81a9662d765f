"""Writes the figures of a report; those of a large one in several processes."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import NamedTuple

from harness.report.csv_files import write_numbers
from harness.report.frame.report_data import LARGE, ReportData
from harness.report.outputs import PlannedFigure, ReportFigure, draw_figure, plan_figures
from harness.report.plotting.style import save

MOST_HELPERS = 4
"""The most processes that draw beside this one; it keeps a core of its own."""


class _Written(NamedTuple):
    """What one process has written."""

    figures: dict[int, ReportFigure]
    """By their places in the report, without matplotlib's figures, which take long from process to
    process."""
    absent: set[str]
    """As of the report."""


@contextmanager
def figure_files(report: ReportData, folder: Path) -> Iterator[Callable[[], list[ReportFigure]]]:
    """Yield what writes all figures of a report into a folder, and returns them in order.

    Helpers begin with those of a large report at once: forks of this process, which have its data.
    It takes part when it has done its other work and calls what is yielded.

    Raises:
        UserError: as ``plan_figures``; and what is yielded, as ``draw_figure``.
    """
    planned = plan_figures(report)
    if len(report.cells) <= LARGE or sys.platform != "linux":
        yield lambda: _in_order(report, [_write(report, folder, planned, range(len(planned)))])
        return
    fork = multiprocessing.get_context("fork")
    places = _shared_range(len(planned), fork.Value("q"))
    write_next = partial(_write, report, folder, planned, places)
    n_helpers = max(1, min(MOST_HELPERS, (os.cpu_count() or 1) - 1))
    with ProcessPoolExecutor(n_helpers, fork, _INHERITED.append, (write_next,)) as helpers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            jobs = [helpers.submit(_write_as_helper) for _ in range(n_helpers)]
        yield lambda: _in_order(report, [write_next(), *(job.result() for job in jobs)])


def _shared_range(stop: int, begun: Synchronized[int]) -> Iterator[int]:
    """Yield the numbers below ``stop``, each in one of the processes that share ``begun``."""
    while True:
        with begun:
            number = begun.value
            begun.value += 1
        if number >= stop:
            return
        yield number


_INHERITED: list[Callable[[], _Written]] = []
"""What a helper has to do; empty in other processes."""


def _write_as_helper() -> _Written:
    (write_next,) = _INHERITED
    return write_next()


def _write(
    report: ReportData, folder: Path, planned: list[PlannedFigure], places: Iterable[int]
) -> _Written:
    """Write the figures that have data among those in some places, each with its numbers."""
    figures: dict[int, ReportFigure] = {}
    for place in places:
        figure = draw_figure(planned[place], report)
        if figure is None:
            continue
        if figure.figure is not None:
            save(figure.figure, folder / figure.stem, report.paper)
            write_numbers(figure.data, folder / f"{figure.stem}.csv")
        figures[place] = figure._replace(figure=None)
    return _Written(figures, report.absent)


def _in_order(report: ReportData, written: list[_Written]) -> list[ReportFigure]:
    """Return the figures of all processes in the order of the report."""
    found: dict[int, ReportFigure] = {}
    for figures, absent in written:
        found |= figures
        report.absent.update(absent)
    return [found[place] for place in sorted(found)]
