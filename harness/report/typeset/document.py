"""A LaTeX document that holds every table and figure of a report, set for its paper."""

from __future__ import annotations

from collections.abc import Iterable

from harness.plan.paper import POINTS_PER_INCH, Paper
from harness.report.outputs import ReportFigure
from harness.report.typeset.latex import escape
from harness.report.typeset.number_columns import PACKAGE

DOCUMENT = "paper.tex"
_PAGE_HEIGHT = 650
"""Points, of the text."""


def document(tables: Iterable[str], floats: Iterable[str], paper: Paper) -> str:
    """Return the document, in which every table and figure floats.

    Args:
        tables: names of the tables, whose ``.tex`` files lie beside it.
        floats: those of the figures, by ``figure_float``.
        paper: the page.
    """
    body = [*(rf"\input{{{name}}}" for name in tables), *floats]
    return "\n".join([*_head(paper), r"\begin{document}", *body, r"\end{document}", ""])


def _head(paper: Paper) -> list[str]:
    """Return the document's class and packages.

    IEEE's class where it is installed, else LaTeX's own ``article`` with the page of the format.
    """
    gap = paper.page_points - 2 * paper.column_points
    options, size = ("10pt,twocolumn", f",columnsep={gap:g}pt") if gap > 0 else ("10pt", "")
    size = f"textwidth={paper.page_points:g}pt,textheight={_PAGE_HEIGHT}pt{size}"
    own = rf"\documentclass[{options}]{{article}}\usepackage[{size}]{{geometry}}"
    ieee = rf"\IfFileExists{{IEEEtran.cls}}{{\documentclass{{IEEEtran}}}}{{{own}}}"
    has_own_class = paper.format == "ieee" and paper.column is None and paper.page is None
    return [
        ieee if has_own_class else own,
        r"\usepackage{booktabs,graphicx}",
        *([PACKAGE] if paper.siunitx else []),
        *([] if has_own_class else _own_style(paper)),
        r"\extrafloats{500}",
    ]


def _own_style(paper: Paper) -> list[str]:
    """Return what ``article`` lacks: space below captions of tables, and the type of the format."""
    times = [] if paper.format == "report" else [r"\renewcommand{\rmdefault}{ptm}"]
    return [r"\setlength{\belowcaptionskip}{6pt}", *times]


def figure_float(figure: ReportFigure, paper: Paper) -> str:
    """Return the float of a figure, which is printed at the size at which it was drawn."""
    assert figure.width is not None
    width = figure.width * POINTS_PER_INCH
    star = "*" if width > paper.column_points + 1 else ""
    lines = [
        rf"\begin{{figure{star}}}[tp]",
        r"\centering\emergencystretch=3em",
        rf"\includegraphics{{{figure.stem}}}",
        rf"\caption{{{escape(figure.title)}. {escape(figure.caption)}}}",
        rf"\label{{fig:{figure.stem}}}",
        rf"\end{{figure{star}}}",
    ]
    return "\n".join(lines)
