"""Tables as LaTeX floats (booktabs) that fit the columns or the page of a paper."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import accumulate, chain

from harness.plan.paper import Paper
from harness.report.typeset.abbreviate import abbreviated
from harness.report.typeset.number_columns import NumberColumn, number_columns
from harness.report.typeset.render import NOTHING
from harness.report.typeset.table import (
    BestText,
    Row,
    SecondText,
    Section,
    TextTable,
    split_columns,
)

PAGE_ROWS = 45
"""The most rows of a float, which cannot break across pages."""
GAP = 5.0
"""Points between two columns."""

_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "|": r"\textbar{}",
        "[": "{[}",  # bare at the start of a row, it would be an option of the row before
        "]": "{]}",
        "±": r"$\pm$",
        "·": r"$\cdot$",
        "–": "--",
        "−": "$-$",
        "†": r"$\dagger$",
        "‡": r"$\ddagger$",
        "§": r"\S{}",
        "Δ": r"$\Delta$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)
# Widths of letters in Times as shares of the type size: a text's sum is an upper bound.
_NARROW, _WIDE = set("iljtfI.,;:!'|()[] -"), set("mwMW@%±−<>Δ")
_BOLD, _COMPUTER_MODERN = 1.15, 1.12
"""How much wider bold letters are, and LaTeX's own type, in which papers of no format are set."""


def latex(tables: Sequence[TextTable], name: str, paper: Paper) -> str:
    r"""Return floats that need ``\usepackage{booktabs}``, and siunitx where the paper asks for it.

    A table that is wider than a column becomes a ``table*`` over the page; one that is wider than
    the page has abbreviated headings or is split between them, one that is higher between its rows.

    Args:
        tables: what is set.
        name: the labels are ``tab:name``, ``tab:name-2`` and so on.
        paper: the page.
    """
    parts = [part for table in tables for part in _parts(table, paper)]
    stars = ["*" if table_width(x, paper) > paper.column_points else "" for x in parts]
    pages = [
        (part, star, page, sections)
        for part, star in zip(parts, stars, strict=True)
        for page, sections in _pages(part)
    ]
    labels = [name, *(f"{name}-{number}" for number in range(2, len(pages) + 1))]
    floats = [
        _float(part, star, sections, paper, label=labels[at], first=labels[at - page])
        for at, (part, star, page, sections) in enumerate(pages)
    ]
    return "\n".join(floats) if floats else f"{NOTHING}\n"


def _parts(table: TextTable, paper: Paper) -> list[TextTable]:
    """Return the table in as few parts as fit the page, its headings short where that saves one."""
    long, short = (
        split_columns(x, partial(fits_page, paper=paper)) for x in (table, abbreviated(table))
    )
    return short if len(short) < len(long) else long


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters escaped."""
    return text.translate(_ESCAPES)


def table_width(table: TextTable, paper: Paper) -> float:
    """Return an upper bound of a table's width in points, set in the type of the paper."""
    size = paper.font_size * (_COMPUTER_MODERN if paper.format == "report" else 1)
    rows = [table.header, *(row for section in table.sections for row in section.rows)]
    columns = [
        max(_text_width(text, size) for text in column) for column in zip(*rows, strict=True)
    ]
    starts = [0, *accumulate(width for _, width in table.spans)]
    for (heading, n_columns), start in zip(table.spans, starts, strict=False):
        covered = slice(start, start + n_columns)
        gaps = GAP * (n_columns - 1)
        missing = max(_text_width(x, size) for x in _lines(heading)) - sum(columns[covered]) - gaps
        columns[start + n_columns - 1] += max(0.0, missing)
    return sum(columns) + GAP * (len(columns) - 1)


def fits_page(table: TextTable, paper: Paper) -> bool:
    """Tell whether a table is no wider than the text on a page."""
    return table_width(table, paper) <= paper.page_points


def _text_width(text: str, size: float) -> float:
    letters = sum(0.33 if x in _NARROW else 0.89 if x in _WIDE else _usual(x) for x in text)
    return letters * size * (_BOLD if isinstance(text, BestText) else 1)


def _usual(letter: str) -> float:
    return 0.72 if letter.isupper() else 0.5


def _pages(table: TextTable) -> Iterator[tuple[int, list[Section]]]:
    """Yield runs of sections that fit on a page each, numbered; a section too long is cut."""
    number, page = 0, list[Section]()
    for section in chain.from_iterable(map(_cut, table.sections)):
        if page and sum(len(other.rows) + 1 for other in [*page, section]) > PAGE_ROWS:
            yield number, page
            number, page = number + 1, []
        page.append(section)
    yield number, page


def _cut(section: Section) -> list[Section]:
    """Return the section in as few parts as fit on a page each, of about equal size."""
    n_parts = -(-len(section.rows) // (PAGE_ROWS - 1)) or 1
    size = -(-len(section.rows) // n_parts) or 1
    starts = range(0, len(section.rows), size)
    return [Section(label=section.label, rows=section.rows[at : at + size]) for at in starts]


def _notes(table: TextTable) -> str:
    return " ".join(escape(note) for note in (table.caption, table.left_out) if note)


def _float(
    table: TextTable, star: str, sections: list[Section], paper: Paper, *, label: str, first: str
) -> str:
    """Return a float; ``first`` is the label of the table's first page, which has the notes."""
    size = paper.font_size
    title, notes = escape(table.title), _notes(table)
    if label != first:
        title, notes = f"{title} (continued)", rf"As Table~\ref{{tab:{first}}}."
    rows = [row for section in sections for row in section.rows]
    columns = number_columns(rows) if paper.siunitx else [None] * len(table.header)
    form = "".join(
        "l" if name in table.words else _specification(column)
        for name, column in zip(table.header[1:], columns[1:], strict=True)
    )
    lines = [
        rf"\begin{{table{star}}}[tp]",
        r"\centering\emergencystretch=3em",
        rf"\caption{{{title}. {notes}}}",
        rf"\label{{tab:{label}}}",
        rf"\fontsize{{{size:g}}}{{{1.2 * size:g}}}\selectfont",
        rf"\setlength{{\tabcolsep}}{{{GAP / 2:g}pt}}",
        rf"\begin{{tabular}}{{@{{}}l{form}@{{}}}}",
        r"\toprule",
        *_spans(table),
        _row(table.header, columns),
    ]
    for section in sections:
        lines.append(r"\midrule")
        if section.label:
            heading = rf"\textit{{{escape(section.label)}}}"
            lines.append(rf"\multicolumn{{{len(columns)}}}{{@{{}}l}}{{{heading}}} \\")
        lines += (_row(row, columns) for row in section.rows)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", rf"\end{{table{star}}}", ""])


def _spans(table: TextTable) -> list[str]:
    """Return the row of headings above the header, and the rules below them."""
    cells, rules, at = [], [], 1
    for text, width in table.spans:
        lines = r"\\".join(map(escape, _lines(text)))
        stacked = rf"\shortstack{{{lines}}}" if len(_lines(text)) > 1 else lines
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{stacked}}}")
        if text:
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    return [" & ".join(cells) + r" \\", "".join(rules)] if cells else []


def _lines(heading: str) -> list[str]:
    """Return the lines of a heading above columns, which may be narrower: ``SPC 10,`` ``blur``."""
    return re.split(r"(?<=,) ", heading)


def _specification(column: NumberColumn | None) -> str:
    return "r" if column is None else column.specification(_text)


def _row(row: Row, columns: Sequence[NumberColumn | None]) -> str:
    cells = (
        _text(text) if column is None else column.cell(text, _text)
        for text, column in zip(row, columns, strict=True)
    )
    return " & ".join(cells) + r" \\"


def _text(text: str) -> str:
    escaped = escape(text)
    if isinstance(text, BestText):
        return rf"\textbf{{{escaped}}}"
    return rf"\underline{{{escaped}}}" if isinstance(text, SecondText) else escaped
