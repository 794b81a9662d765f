"""A table as text, before ``render`` gives it a format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

    def flat_header(self) -> Row:
        """Return one header row, for formats without spans: a span's text comes first."""
        spans: list[str] = []
        for text, width in self.spans or [("", len(self.header))]:
            spans += [text, *[""] * (width - 1)]
        return tuple(
            f"{span} {name}".strip() for span, name in zip(spans, self.header, strict=True)
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
