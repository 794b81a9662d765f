"""The decorators ``@figure`` and ``@table``: what a file in ``figures`` or ``tables`` declares.

Light on purpose: neither pandas nor matplotlib is imported, so that a study can be planned with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from harness.report.frame.groups import BoardGroup
    from harness.report.frame.report_data import ReportData
    from harness.report.typeset.table import TextTable

DECLARATION = "__defuse__"


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """One figure as drawn."""

    data: pd.DataFrame
    """What is drawn, number by number: the figure's CSV file."""
    figure: Figure | None
    """None when there is nothing to draw; the note is shown all the same."""
    caption: str = ""
    """A caption with numbers of this group, instead of the declared one."""
    alt: str = ""
    """What is seen, in numbers: read out on the page in place of the picture, after the title."""
    note: str = ""
    """What is left out: added to the caption, and printed below the leaderboard."""


@dataclass(frozen=True, kw_only=True)
class TableContents:
    """One output table: the same numbers for readers and for programs."""

    texts: list[TextTable]
    """One table as text after the other, for Markdown, LaTeX and the page."""
    numbers: pd.DataFrame | None = None
    """The CSV file; None when another table's file has the numbers."""

    def _repr_markdown_(self) -> str:
        """Return what a notebook shows."""
        from harness.report.typeset.render import markdown

        return markdown(self.texts)


DrawFunction = Callable[["BoardGroup", "ReportData"], Drawing | None]
TableFunction = Callable[["ReportData"], TableContents | None]


def each_group(report: ReportData) -> Iterable[BoardGroup]:
    """Return the groups of the leaderboard: one figure per data set, model and recipe."""
    return report.groups


@dataclass(frozen=True, kw_only=True)
class FigureInfo:
    """What ``@figure`` keeps."""

    title: str
    caption: str
    groups: Callable[[ReportData], Iterable[BoardGroup]]
    invertible: bool = False


@dataclass(frozen=True)
class TableInfo:
    """What ``@table`` keeps: nothing but the fact."""


def figure(
    *,
    title: str,
    caption: str = "",
    groups: Callable[[ReportData], Iterable[BoardGroup]] = each_group,
    invertible: bool = False,
) -> Callable[[DrawFunction], DrawFunction]:
    """Declare ``function(group, report) -> Drawing | None`` as the figure of its file.

    The figure has the name of its file, in a study's ``figures`` and in the report's folder. The
    function is called once per group; None leaves the group out.

    Args:
        title: ``{group}`` in it stands for the group's title.
        caption: what the figure shows, and what is left out; a ``Drawing`` may have its own.
        groups: ``groups(report)``: what one figure is drawn of. By default one per data set, model
            and recipe.
        invertible: whether it is lines and points on white, without pictures or shades that mean
            something, so that the page may invert it on a dark screen.
    """
    info = FigureInfo(title=title, caption=caption, groups=groups, invertible=invertible)

    def mark(function: DrawFunction) -> DrawFunction:
        setattr(function, DECLARATION, info)
        return function

    return mark


def table(function: TableFunction) -> TableFunction:
    """Declare ``function(report) -> TableContents | None`` as the table of its file.

    The files that it writes have the name of its own file; None leaves the table out.
    """
    setattr(function, DECLARATION, TableInfo())
    return function
