"""One figure of a report, before it is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData


class ReportFigure(NamedTuple):
    """A figure and all that belongs to it; without a figure, a note alone."""

    stem: str
    """Its file's name, without an ending."""
    title: str
    caption: str
    """What it shows, and what was left out of it."""
    data: pd.DataFrame
    """What is drawn, number by number."""
    figure: Figure | None
    note: str = ""
    """What a reader must know that it doesn't show."""


def pictures(source: ReportData) -> Iterator[ReportFigure]:
    """Yield every picture that the source asks for and has data for, in its order."""
    for name in source.figures:
        make: Callable[[ReportData], Iterator[ReportFigure]]
        make = importlib.import_module(f"harness.report.figures.{name}").pictures
        yield from make(source)


def stem(name: str, part: BoardGroup, source: ReportData) -> str:
    """Return the file name of a part's figure; the part is named only where there are several."""
    return f"{name}_{part.slug}" if len(source.parts) > 1 else name
