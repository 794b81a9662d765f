"""Formats of a table that any program shows: Markdown and the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from harness.report.typeset.table import BestText, Row, SecondText, TextTable, split_columns

NOTHING = "Nothing to average yet."
MOST_COLUMNS = 25
"""The most columns of a Markdown table; one with more is split."""


def markdown(tables: Sequence[TextTable]) -> str:
    """Return the tables as Markdown, columns padded so that the source is readable too."""
    parts = [part for table in tables for part in split_columns(table, _is_readable)]
    return "\n".join(map(_markdown_table, parts)) if parts else f"{NOTHING}\n"


def terminal(tables: Sequence[TextTable]) -> RenderableType:
    """Return the tables for a rich console of 80 columns or more."""
    return Group(*chain.from_iterable(map(_terminal_table, tables))) if tables else Text(NOTHING)


def _is_readable(table: TextTable) -> bool:
    return len(table.header) <= MOST_COLUMNS


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
