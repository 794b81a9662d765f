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
from pathlib import Path
from typing import NamedTuple

from harness.report.csv_files import write_numbers
from harness.report.frame.report_data import LARGE, ReportData
from harness.report.outputs import ReportFigure, check_figures, draw_figures
from harness.report.plotting.style import save

MOST_HELPERS = 4
"""The most processes that draw beside this one; it keeps a core of its own."""


class _Written(NamedTuple):
    """What one process has written."""

    figures: dict[str, list[ReportFigure]]
    """By ``ref``, without matplotlib's figures, which take long from process to process."""
    absent: set[str]
    """As of the report."""


@contextmanager
def figure_files(report: ReportData, folder: Path) -> Iterator[Callable[[], list[ReportFigure]]]:
    """Yield what writes all figures of a report into a folder, and returns them in order.

    Helpers begin with those of a large report at once: forks of this process, which have its data.
    It takes part when it has done its other work and calls what is yielded.

    Raises:
        UserError: as ``check_figures``; and what is yielded, as ``draw_figures``.
    """
    check_figures(report)
    if len(report.cells) <= LARGE or sys.platform != "linux":
        yield lambda: _in_order(report, [_write(report, folder, report.figures)])
        return
    fork = multiprocessing.get_context("fork")
    n_helpers = max(1, min(MOST_HELPERS, (os.cpu_count() or 1) - 1))
    refs = fork.SimpleQueue()
    for ref in (*report.figures, *[None] * (n_helpers + 1)):  # for each process its own None
        refs.put(ref)
    write_next = partial(_write, report, folder, iter(refs.get, None))
    with ProcessPoolExecutor(n_helpers, fork, _INHERITED.append, (write_next,)) as helpers:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
            jobs = [helpers.submit(_write_as_helper) for _ in range(n_helpers)]
        yield lambda: _in_order(report, [write_next(), *(job.result() for job in jobs)])


_INHERITED: list[Callable[[], _Written]] = []
"""What a helper has to do; empty in other processes."""


def _write_as_helper() -> _Written:
    (write_next,) = _INHERITED
    return write_next()


def _write(report: ReportData, folder: Path, refs: Iterable[str]) -> _Written:
    """Write some figures, each with its numbers."""
    figures: dict[str, list[ReportFigure]] = {}
    for ref in refs:
        figures[ref] = []
        for figure in draw_figures(ref, report):
            if figure.figure is not None:
                save(figure.figure, folder / figure.stem, report.paper)
                write_numbers(figure.data, folder / f"{figure.stem}.csv")
            figures[ref].append(figure._replace(figure=None))
    return _Written(figures, report.absent)


def _in_order(report: ReportData, written: list[_Written]) -> list[ReportFigure]:
    """Return the figures of all processes in the order of the report."""
    found: dict[str, list[ReportFigure]] = {}
    for figures, absent in written:
        found |= figures
        report.absent.update(absent)
    return [figure for ref in report.figures for figure in found[ref]]
