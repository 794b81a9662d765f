"""The paper that tables and figures are made for: its page, and what it shows of a study."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Le, MinLen

POINTS_PER_INCH = 72.27
"""TeX's points."""
LEAST_FONT_SIZE = 6
"""The smallest text in a figure, in points."""
WIDTHS = {
    "report": (252.0, 506.0),
    "ieee": (252.0, 516.0),
    "acm": (241.1, 506.3),
    "usenix": (241.0, 505.9),
    "neurips": (397.5, 397.5),
}
"""Width of a column and of a page in points, by format."""

Format = Literal["report", "ieee", "acm", "usenix", "neurips"]
Width = Annotated[float, Ge(150), Le(1000)]
Metric = Literal["acc", "asr", "ra", "der", "rir"]


@dataclass(frozen=True, kw_only=True)
class Paper:
    """How tables and figures are set, and which methods they show, under which names."""

    format: Format = "report"
    """The page: ``ieee`` and ``acm`` and ``usenix`` have two columns, ``neurips`` has one."""
    column: Width | None = None
    """Width of a column in points, in place of the format's."""
    page: Width | None = None
    """Width of the text on a page in points, in place of the format's."""
    font: Literal["sans", "serif"] = "sans"
    """The type of the figures."""
    font_size: Annotated[float, Ge(7), Le(14)] = 8
    """The type size of figures and tables in points; ticks and legends are one point smaller."""
    rows: Literal["defenses", "attacks"] = "defenses"
    """What the rows of the attack tables are; the other one makes their columns, or the sections
    of a list."""
    layout: Literal["auto", "panels", "list"] = "auto"
    """How the attack tables have several budgets: ``panels``, a table each; ``list``, side by side
    in one table, with a section per attack; ``auto``, panels where they fit the page whole."""
    metrics: Annotated[tuple[Metric, ...], MinLen(1)] = ("acc", "asr", "ra")
    """What the attack tables show."""
    siunitx: bool = False
    """Whether LaTeX aligns the numbers of tables at the decimal point, with its package siunitx."""
    published: bool = False
    """Whether published numbers are rows of the tables ``attacks`` and ``architectures``."""
    margin: Annotated[float, Ge(0), Le(1)] = 0.1
    """A defense is marked as best only if its ACC is at most this far below the undefended
    model's."""
    defenses: list[str] = field(default_factory=list)
    """The defenses to show, in this order; all, in the order of the board, if there are none."""
    names: dict[str, str] = field(default_factory=dict)
    """Names to show in place of those of defenses, attacks and architectures."""
    ours: str | None = None
    """The defense that the paper is about: it has a colour of its own and is drawn on top."""

    @property
    def small_size(self) -> float:
        """The size of ticks, legends and names in a drawing, in points."""
        return self.font_size - 1

    @property
    def column_points(self) -> float:
        """The width of a column, in points."""
        return WIDTHS[self.format][0] if self.column is None else self.column

    @property
    def page_points(self) -> float:
        """The width of a page, in points; not less than that of a column."""
        return max(self.column_points, WIDTHS[self.format][1] if self.page is None else self.page)

    @property
    def column_inches(self) -> float:
        """The width of a column, in inches."""
        return self.column_points / POINTS_PER_INCH

    @property
    def page_inches(self) -> float:
        """The width of a page, in inches."""
        return self.page_points / POINTS_PER_INCH
