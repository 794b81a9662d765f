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
PAGE_ROWS = 45  # a LaTeX float can't break across pages
NARROW = 10  # columns that fit a page with the usual space between them

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
        "Δ": r"$\Delta$",
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def markdown(sheets: Sequence[TextTable]) -> str:
    """Return the sheets as Markdown, columns padded so that the source is readable too."""
    return "\n".join(map(_markdown_sheet, sheets)) if sheets else f"{NOTHING}\n"


def latex(sheets: Sequence[TextTable]) -> str:
    r"""Return the sheets as ``table`` floats that need ``\usepackage{booktabs}`` and nothing else."""
    floats = [
        _float(sheet, sections, page)
        for sheet in sheets
        for page, sections in enumerate(_pages(sheet))
    ]
    return "\n".join(floats) if floats else f"{NOTHING}\n"


def terminal(sheets: Sequence[TextTable]) -> RenderableType:
    """Return the sheets for a rich console of 80 columns or more."""
    return Group(*chain.from_iterable(map(_terminal_sheet, sheets))) if sheets else Text(NOTHING)


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters made harmless."""
    return text.translate(_LATEX)


def _markdown_sheet(sheet: TextTable) -> str:
    rows: list[Row] = [sheet.flat_header()]
    for section in sheet.sections:
        if section.label:
            rows.append((f"**{section.label}**", *[""] * (len(sheet.header) - 1)))
        rows.extend(section.rows)
    safe = [tuple(map(_markdown_text, row)) for row in rows]
    widths = [max(3, *map(len, column)) for column in zip(*safe, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *["-" * (width - 1) + ":" for width in widths[1:]]]
    head, *body = [_markdown_row(row, widths) for row in safe]
    lines = [head, f"| {' | '.join(rule)} |", *body]
    under = [text for note in (sheet.caption, sheet.left_out) if note for text in (note, "")]
    return "\n".join([f"### {sheet.title}", "", *lines, "", *under])


def _markdown_text(text: str) -> str:
    safe = text.replace("|", r"\|")
    return (
        f"**{safe}**"
        if isinstance(text, BestText)
        else f"<u>{safe}</u>"
        if isinstance(text, SecondText)
        else safe
    )


def _markdown_row(row: Row, widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    texts = [first[0].ljust(first[1]), *[text.rjust(width) for text, width in others]]
    return f"| {' | '.join(texts)} |"


def _pages(sheet: TextTable) -> Iterator[list[Section]]:
    """Yield runs of sections that fit on a page each; a section that is longer alone is cut."""
    page: list[Section] = []
    for section in chain.from_iterable(map(_cut, sheet.sections)):
        if page and sum(len(other.rows) + 1 for other in [*page, section]) > PAGE_ROWS:
            yield page
            page = []
        page.append(section)
    yield page


def _cut(section: Section) -> list[Section]:
    starts = range(0, len(section.rows), PAGE_ROWS - 1)
    return [
        Section(label=section.label, rows=section.rows[at : at + PAGE_ROWS - 1]) for at in starts
    ]


def _float(sheet: TextTable, sections: list[Section], page: int) -> str:
    columns = len(sheet.header)
    more = " (continued)" if page else ""
    notes = " ".join(escape(note) for note in (sheet.caption, sheet.left_out) if note)
    lines = [r"\begin{table}[tp]", r"\centering\footnotesize"]
    lines += [r"\setlength{\tabcolsep}{3pt}"] if sheet.spans or columns > NARROW else []
    lines += [rf"\caption{{{escape(sheet.title)}{more}. {notes}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (columns - 1)}}}", r"\toprule", *_latex_spans(sheet)]
    lines += [_latex_row(sheet.header)]
    for section in sections:
        heading = rf"\multicolumn{{{columns}}}{{l}}{{\textit{{{escape(section.label)}}}}} \\"
        lines += [r"\midrule", *[heading] * bool(section.label), *map(_latex_row, section.rows)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_spans(sheet: TextTable) -> list[str]:
    """Return the row of headings over the header, and the rules below them."""
    cells, rules, at = [], [], 1
    for text, width in sheet.spans:
        cells.append(rf"\multicolumn{{{width}}}{{c}}{{{escape(text)}}}")
        rules += [rf"\cmidrule(lr){{{at}-{at + width - 1}}}"] * bool(text)
        at += width
    return [" & ".join(cells) + r" \\", "".join(rules)] if cells else []


def _latex_row(row: Row) -> str:
    return " & ".join(map(_latex_text, row)) + r" \\"


def _latex_text(text: str) -> str:
    safe = escape(text)
    if isinstance(text, BestText):
        return rf"\textbf{{{safe}}}"
    return rf"\underline{{{safe}}}" if isinstance(text, SecondText) else safe


def _terminal_sheet(sheet: TextTable) -> list[RenderableType]:
    header = sheet.flat_header()
    table = Table(title=Text(sheet.title), box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True
    table.add_column(header[0], overflow="fold")
    for name in header[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for section in sheet.sections:
        table.add_section()
        table.add_row(Text(section.label, style="bold"))
        for row in section.rows:
            table.add_row(*map(Text, row))
    return [table, Text(sheet.caption), Text(sheet.left_out), Text()]
