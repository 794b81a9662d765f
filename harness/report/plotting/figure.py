"""One figure of a report, before it is written."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from harness.report.frame.groups import Part
from harness.report.frame.report_data import Source


class Picture(NamedTuple):
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


def pictures(source: Source) -> Iterator[Picture]:
    """Yield every picture that the source asks for and has data for, in its order."""
    for name in source.figures:
        make: Callable[[Source], Iterator[Picture]]
        make = importlib.import_module(f"harness.report.figures.{name}").pictures
        yield from make(source)


def stem(name: str, part: Part, source: Source) -> str:
    """Return the file name of a part's figure; the part is named only where there are several."""
    return f"{name}_{part.slug}" if len(source.parts) > 1 else name
