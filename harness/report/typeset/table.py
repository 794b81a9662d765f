"""A table as text, before ``render`` gives it a format."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, pairwise
from math import isnan


class BestText(str):
    """The text of the best number; formats set it bold."""

    __slots__ = ()


class SecondText(str):
    """The text of the second best number; formats underline it."""

    __slots__ = ()


Row = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Section:
    """Rows under one heading; "" is no heading."""

    label: str
    rows: list[Row]
    """As many texts as the header has."""


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """One table."""

    title: str
    header: Row
    sections: list[Section]
    caption: str
    """What the numbers are."""
    left_out: str = ""
    """What they don't contain."""
    spans: tuple[tuple[str, int], ...] = ()
    """Headings above the header: text and the number of columns that it covers; "" leaves a gap."""
    words: tuple[str, ...] = ()
    """The columns, by their header, that hold words as the first one does, not numbers."""

    def flat_header(self) -> Row:
        """Return one header row, for formats without spans: a span's text comes first."""
        spans: list[str] = []
        for text, width in self.spans or [("", len(self.header))]:
            spans += [text, *[""] * (width - 1)]
        return tuple(
            f"{span} {name}".strip() for span, name in zip(spans, self.header, strict=True)
        )


def split_columns(table: TextTable, fits: Callable[[TextTable], bool]) -> list[TextTable]:
    """Split a table between its headings into as few parts of equal size as fit.

    Every part has the first column. A table without headings is split between any two columns; a
    single block of columns that does not fit stays whole.
    """
    blocks = _blocks(table)
    for n_parts in range(1, len(blocks) + 1):
        parts = [
            _part(table, [0, *chain.from_iterable(blocks[at : at + size])], number, n_parts)
            for number, (at, size) in enumerate(_runs(len(blocks), n_parts), start=1)
        ]
        if all(map(fits, parts)):
            break
    return parts


def _blocks(table: TextTable) -> list[range]:
    """Return the columns below each heading; each column but the first without headings."""
    if not table.spans:
        return [range(at, at + 1) for at in range(1, len(table.header))]
    ends = list(accumulate(width for _, width in table.spans))
    return [range(start, end) for start, end in pairwise(ends)]


def _runs(n_blocks: int, n_parts: int) -> Iterator[tuple[int, int]]:
    """Yield where each part begins, and how many blocks it has; the first parts have one more."""
    at = 0
    for number in range(n_parts):
        size = n_blocks // n_parts + (number < n_blocks % n_parts)
        yield at, size
        at += size


def _part(table: TextTable, columns: list[int], number: int, n_parts: int) -> TextTable:
    if n_parts == 1:
        return table
    ends = list(accumulate(width for _, width in table.spans))
    spans = [span for span, end in zip(table.spans, ends, strict=True) if end - 1 in columns]

    def take(row: Row) -> Row:
        return tuple(row[column] for column in columns)

    sections = [
        replace(section, rows=[take(row) for row in section.rows]) for section in table.sections
    ]
    return replace(
        table,
        title=f"{table.title}, part {number} of {n_parts}",
        header=take(table.header),
        sections=sections,
        spans=tuple(spans),
    )


def mark_best(texts: Sequence[str], numbers: Sequence[float], better: int) -> list[str]:
    """Return the texts with the best and the second best number marked; NaN is never marked.

    Numbers whose texts read the same share a rank, so that no rounding decides between equals.
    """
    ranked = {t: better * x for t, x in zip(texts, numbers, strict=True) if not isnan(x)}
    if len(ranked) < 2:
        return list(texts)
    best, second = sorted(ranked, key=lambda text: -ranked[text])[:2]
    marks = {best: BestText(best), second: SecondText(second)}
    return [
        text if isnan(number) else marks.get(text, text)
        for text, number in zip(texts, numbers, strict=True)
    ]
