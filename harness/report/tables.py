"""Formats of a leaderboard: Markdown, LaTeX (booktabs) and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report.board import HEADER, NOTHING, Board, Section

PAGE_ROWS = 45  # a LaTeX float can't break across pages

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
        **{character: f"\\{character}" for character in "&%$#_{}"},
    }
)


def markdown(boards: list[Board]) -> str:
    """Return the boards as Markdown, columns padded so that the source is readable too."""
    return "\n".join(map(_markdown_board, boards)) if boards else f"{NOTHING}\n"


def latex(boards: list[Board]) -> str:
    r"""Return the boards as ``table`` floats that need ``\usepackage{booktabs}`` and nothing else."""
    floats = [
        _float(board, sections, page) for board in boards for page, sections in enumerate(_pages(board))
    ]
    return "\n".join(floats) if floats else f"{NOTHING}\n"


def terminal(boards: list[Board]) -> RenderableType:
    """Return the boards for a rich console of 80 columns or more."""
    return Group(*chain.from_iterable(map(_terminal_board, boards))) if boards else Text(NOTHING)


def escape(text: str) -> str:
    """Return the text with LaTeX's special characters made harmless."""
    return text.translate(_LATEX)


def _markdown_board(board: Board) -> str:
    rows: list[tuple[str, ...]] = [HEADER]
    for section in board.sections:
        rows.append((f"**{section.label}**", *[""] * (len(HEADER) - 1)))
        rows.extend(section.rows)
    safe = [tuple(text.replace("|", r"\|") for text in row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    rule = [":" + "-" * (widths[0] - 1), *["-" * (width - 1) + ":" for width in widths[1:]]]
    head, *body = [_markdown_row(row, widths) for row in safe]
    lines = [head, f"| {' | '.join(rule)} |", *body]
    return "\n".join([f"### {board.title}", "", *lines, "", board.caption, "", board.left_out, ""])


def _markdown_row(row: tuple[str, ...], widths: list[int]) -> str:
    first, *others = zip(row, widths, strict=True)
    texts = [first[0].ljust(first[1]), *[text.rjust(width) for text, width in others]]
    return f"| {' | '.join(texts)} |"


def _pages(board: Board) -> Iterator[list[Section]]:
    """Yield runs of sections that fit on a page each."""
    page: list[Section] = []
    for section in board.sections:
        if page and sum(len(other.rows) + 1 for other in [*page, section]) > PAGE_ROWS:
            yield page
            page = []
        page.append(section)
    yield page


def _float(board: Board, sections: list[Section], page: int) -> str:
    more = " (continued)" if page else ""
    caption = f"{escape(board.title)}{more}. {escape(board.caption)} {escape(board.left_out)}"
    lines = [r"\begin{table}[tp]", r"\centering\footnotesize", rf"\caption{{{caption}}}"]
    lines += [rf"\begin{{tabular}}{{l{'r' * (len(HEADER) - 1)}}}", r"\toprule", _latex_row(HEADER)]
    for section in sections:
        lines += [
            r"\midrule",
            rf"\multicolumn{{{len(HEADER)}}}{{l}}{{\textit{{{escape(section.label)}}}}} \\",
        ]
        lines += map(_latex_row, section.rows)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _latex_row(row: tuple[str, ...]) -> str:
    return " & ".join(map(escape, row)) + r" \\"


def _terminal_board(board: Board) -> list[RenderableType]:
    table = Table(title=Text(board.title), box=box.SIMPLE_HEAD)
    table.pad_edge, table.collapse_padding = False, True
    table.add_column(HEADER[0], overflow="fold")
    for name in HEADER[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for section in board.sections:
        table.add_section()
        table.add_row(Text(section.label, style="bold"))
        for row in section.rows:
            table.add_row(*map(Text, row))
    return [table, Text(board.caption), Text(board.left_out), Text()]
