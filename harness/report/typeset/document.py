"""A LaTeX document that holds every table and figure of a report, set for its paper."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.plan.paper import POINTS_PER_INCH, Paper
from harness.report.outputs import ReportFigure
from harness.report.typeset.latex import escape

DOCUMENT = "paper.tex"
_PAGE_HEIGHT = 650
"""Points, of the text."""


def document(tables: Iterable[str], figures: Sequence[ReportFigure], paper: Paper) -> str:
    """Return the document: the page of the paper's format in LaTeX's own ``article``.

    Args:
        tables: names of the tables, whose ``.tex`` files lie beside it.
        figures: those of the report, likewise.
        paper: the page.
    """
    gap = paper.page_points - 2 * paper.column_points
    columns = ",twocolumn" if gap > 0 else ""
    head = [
        rf"\documentclass[10pt{columns}]{{article}}",
        rf"\usepackage[textwidth={paper.page_points:g}pt,textheight={_PAGE_HEIGHT}pt]{{geometry}}",
        r"\usepackage{booktabs,graphicx}",
        *([rf"\setlength{{\columnsep}}{{{gap:g}pt}}"] if columns else []),
        r"\begin{document}",
    ]
    body = [rf"\input{{{name}}}\clearpage" for name in tables]
    body += [figure_float(figure, paper) for figure in figures if figure.figure is not None]
    return "\n".join([*head, *body, r"\end{document}", ""])


def figure_float(figure: ReportFigure, paper: Paper) -> str:
    """Return the float of a figure, which is printed at the size at which it was drawn."""
    assert figure.figure is not None
    width = figure.figure.get_figwidth() * POINTS_PER_INCH
    star = "*" if width > paper.column_points + 1 else ""
    lines = [
        rf"\begin{{figure{star}}}[tp]",
        r"\centering\emergencystretch=3em",
        rf"\includegraphics{{{figure.stem}}}",
        rf"\caption{{{escape(figure.title)}. {escape(figure.caption)}}}",
        rf"\label{{fig:{figure.stem}}}",
        rf"\end{{figure{star}}}\clearpage",
    ]
    return "\n".join(lines)
