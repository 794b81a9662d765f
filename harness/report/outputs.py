"""Makes the tables and figures of a report, each found by the name of its file."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure

from harness.errors import UserError
from harness.plan.registry import import_file
from harness.plan.report_names import RECORDS, table_names
from harness.report.declare import (
    DECLARATION,
    DrawFunction,
    FigureInfo,
    TableContents,
    TableFunction,
    TableInfo,
)
from harness.report.frame.groups import BoardGroup
from harness.report.frame.report_data import ReportData
from harness.report.plotting.style import png, rc

Info = TypeVar("Info")


class ReportFigure(NamedTuple):
    """A figure and all that belongs to it."""

    name: str
    """The name by which a study asks for it."""
    stem: str
    """The name of its files, without an ending."""
    title: str
    caption: str
    """What it shows, and what is left out of it."""
    data: pd.DataFrame
    """What is drawn, number by number."""
    figure: Figure | None
    """None when there is nothing to draw, or when its files are written."""
    width: float | None
    """Inches; None when there is nothing to draw."""
    alt: str
    """What is seen in it, in numbers."""
    note: str = ""
    """What a reader must know and the figure doesn't show."""
    invertible: bool = False
    """Whether the page may invert it on a dark screen."""

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows."""
        return None if self.figure is None else png(self.figure)


def make_tables(report: ReportData) -> dict[str, TableContents]:
    """Return every table that the report asks for and has rows for, by name, the leaderboard first.

    Raises:
        UserError: a user's own file is gone, declares no table, or has the name of another output.
    """
    refs = dict.fromkeys(("leaderboard", *report.tables))
    made: dict[str, TableContents | None] = {}
    for ref in refs:
        name = Path(ref).stem
        if name in made or (ref != name and name in {*table_names(), RECORDS}):
            raise UserError(f"table {ref}: another output is called {name!r}; rename the file")
        made[name] = load_table(ref)(report)
    return {name: contents for name, contents in made.items() if contents is not None}


class PlannedFigure(NamedTuple):
    """A figure of a report before it is drawn."""

    name: str
    """The name by which a study asks for it."""
    draw: DrawFunction
    info: FigureInfo
    group: BoardGroup
    """What it is drawn of."""


def make_figures(report: ReportData) -> Iterator[ReportFigure]:
    """Yield every figure that the report asks for and has data for, in its order.

    Raises:
        UserError: as ``plan_figures`` and ``draw_figure``.
    """
    drawn = (draw_figure(planned, report) for planned in plan_figures(report))
    yield from (figure for figure in drawn if figure is not None)


def plan_figures(report: ReportData) -> list[PlannedFigure]:
    """Return the figures that a report asks for, in order: of each file one per group.

    Raises:
        UserError: a user's own file is gone, declares no figure, or has the name of another output.
    """
    names = [Path(ref).stem for ref in report.figures]
    tables = {*table_names(), *(Path(ref).stem for ref in report.tables)}
    for ref, name in zip(report.figures, names, strict=True):
        if names.count(name) > 1 or name in {*tables, RECORDS}:
            raise UserError(f"figure {ref}: another output is called {name!r}; rename the file")
    loaded = map(load_figure, report.figures)
    return [
        PlannedFigure(name, draw, info, group)
        for name, (draw, info) in zip(names, loaded, strict=True)
        for group in info.groups(report)
    ]


def draw_figure(planned: PlannedFigure, report: ReportData) -> ReportFigure | None:
    """Draw a figure; None without data for it.

    Raises:
        UserError: a damaged artifact.
    """
    name, draw, info, group = planned
    with mpl.rc_context(rc(report.paper)):
        drawing = draw(group, report)
    if drawing is None:
        return None
    stem = "_".join(filter(None, (name, group.slug)))
    return ReportFigure(
        name=name,
        stem=stem,
        title=info.title.replace("{group}", group.title),
        caption=f"{drawing.caption or info.caption} {drawing.note}".strip(),
        data=drawing.data,
        figure=drawing.figure,
        width=None if drawing.figure is None else drawing.figure.get_figwidth(),
        alt=drawing.alt,
        note=f"Figure {stem}: {drawing.note}" if drawing.note else "",
        invertible=info.invertible,
    )


def load_table(ref: str) -> TableFunction:
    """Return the function that makes a table; ``ref`` is a name or a path.

    Raises:
        UserError: a user's own file is gone, or does not declare one table.
    """
    function: TableFunction = _declared(_module("tables", ref), TableInfo, "table")[0]
    return function


def load_figure(ref: str) -> tuple[DrawFunction, FigureInfo]:
    """Return the function that draws a figure, and what it declares; ``ref`` is a name or a path.

    Raises:
        UserError: a user's own file is gone, or does not declare one figure.
    """
    return _declared(_module("figures", ref), FigureInfo, "figure")


def _module(folder: str, ref: str) -> ModuleType:
    if not ref.endswith(".py"):
        return importlib.import_module(f"harness.report.{folder}.{ref}")
    if not Path(ref).is_file():
        raise UserError(f"no file {ref}")
    return import_file(Path(ref))


def _declared(module: ModuleType, kind: type[Info], decorator: str) -> tuple[Any, Info]:
    """Return the one function of a module that is decorated, and what it declares."""
    functions = [
        value
        for value in vars(module).values()
        if isinstance(getattr(value, DECLARATION, None), kind)
    ]
    if len(functions) != 1:
        raise UserError(
            f"{module.__file__}: one function decorated with @{decorator} is needed, "
            f"found {len(functions)}"
        )
    return functions[0], getattr(functions[0], DECLARATION)
