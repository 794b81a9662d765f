"""Formats of a table: Markdown, LaTeX (booktabs) and the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report.typeset.table import BestText, Row, SecondText, Section, TextTable

NOTHING = "Nothing to average yet."
PAGE_ROWS = 45
"""The most rows of a LaTeX float, which cannot break across pages."""
NARROW = 10
"""The most columns that fit on a page with the usual space between them."""

_LATEX = str.maketrans(
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
        "Δ": r"$\Delta$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def markdown(tables: Sequence[TextTable]) -> str:
    """Return the tables as Markdown, columns padded so that the source is readable too."""
    return "\n".join(map(_markdown_table, tables)) if tables else f"{NOTHING}\n"


def latex(tables: Sequence[TextTable]) -> str:
    r"""Return ``table`` floats that need ``\usepackage{booktabs}`` and nothing else."""
    floats = [
        _float(table, sections, page)
        for table in tables
        for page, sections in enumerate(_pages(table))
    ]
    return "\n".join(floats) if floats else f"{NOTHING}\n"


def terminal(tables: Sequence[TextTable]) -> RenderableType:
    """Return the tables for a rich console of 80 columns or more."""
    return Group(*chain.from_iterable(map(_terminal_table, tables))) if tables else Text(NOTHING)


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters escaped."""
    return text.translate(_LATEX)


def _markdown_table(table: TextTable) -> str:
    rows: list[Row] = [table.flat_header()]
    for section in table.sections:
        if section.label:
            rows.append((f"**{section.label}**", *[""] * (len(table.header) - 1)))
        rows.extend(section.rows)
    escaped = [tuple(map(_markdown_text, row)) for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*escaped, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *["-" * (width - 1) + ":" for width in widths[1:]]]
    head, *body = [_markdown_row(row, widths) for row in escaped]
    lines = [f"### {table.title}", "", head, f"| {' | '.join(rule)} |", *body, ""]
    for note in (table.caption, table.left_out):
        if note:
            lines += [note, ""]
    return "\n".join(lines)


def _markdown_text(text: str) -> str:
    escaped = text.replace("|", r"\|")
    if isinstance(text, BestText):
        return f"**{escaped}**"
    return f"<u>{escaped}</u>" if isinstance(text, SecondText) else escaped


def _markdown_row(row: Row, widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    texts = [first[0].ljust(first[1]), *[text.rjust(width) for text, width in others]]
    return f"| {' | '.join(texts)} |"


def _pages(table: TextTable) -> Iterator[list[Section]]:
    """Yield runs of sections that fit on a page each; a section that is too long is cut."""
    page: list[Section] = []
    for section in chain.from_iterable(map(_cut, table.sections)):
        if page and sum(len(other.rows) + 1 for other in [*page, section]) > PAGE_ROWS:
            yield page
            page = []
        page.append(section)
    yield page


def _cut(section: Section) -> list[Section]:
    size = PAGE_ROWS - 1
    starts = range(0, len(section.rows), size)
    return [Section(label=section.label, rows=section.rows[at : at + size]) for at in starts]


def _float(table: TextTable, sections: list[Section], page: int) -> str:
    columns = len(table.header)
    continued = " (continued)" if page else ""
    notes = " ".join(escape(note) for note in (table.caption, table.left_out) if note)
    lines = [r"\begin{table}[tp]", r"\centering\footnotesize"]
    if table.spans or columns > NARROW:
        lines.append(r"\setlength{\tabcolsep}{3pt}")
    lines.append(rf"\caption{{{escape(table.title)}{continued}. {notes}}}")
    lines.append(rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}")
    lines += [r"\toprule", *_latex_spans(table), _latex_row(table.header)]
    for section in sections:
        lines.append(r"\midrule")
        if section.label:
            label = rf"\textit{{{escape(section.label)}}}"
            lines.append(rf"\multicolumn{{{columns}}}{{l}}{{{label}}} \\")
        lines += map(_latex_row, section.rows)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_spans(table: TextTable) -> list[str]:
    """Return the row of headings above the header, and the rules below them."""
    cells, rules, at = [], [], 1
    for text, width in table.spans:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(text)}}}")
        if text:
            rules.append(rf"\cmidrule(lr){{{at}-{at + width - 1}}}")
        at += width
    return [" & ".join(cells) + r" \\", "".join(rules)] if cells else []


def _latex_row(row: Row) -> str:
    return " & ".join(map(_latex_text, row)) + r" \\"


def _latex_text(text: str) -> str:
    escaped = escape(text)
    if isinstance(text, BestText):
        return rf"\textbf{{{escaped}}}"
    return rf"\underline{{{escaped}}}" if isinstance(text, SecondText) else escaped


def _terminal_table(table: TextTable) -> list[RenderableType]:
    header = table.flat_header()
    shown = Table(title=Text(table.title), box=box.SIMPLE_HEAD)
    shown.pad_edge, shown.collapse_padding = False, True
    shown.add_column(header[0], overflow="fold")
    for name in header[1:]:
        shown.add_column(name, justify="right", no_wrap=True)
    for section in table.sections:
        shown.add_section()
        shown.add_row(Text(section.label, style="bold"))
        for row in section.rows:
            shown.add_row(*map(Text, row))
    return [shown, Text(table.caption), Text(table.left_out), Text()]
