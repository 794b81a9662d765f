"""A table as text, before tables.py gives it a format."""

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
    """Headings over the header: text and the number of columns that it covers; "" leaves a gap."""

    def flat_header(self) -> Row:
        """Return the header for formats that know no spans: each span's text stands in its first column."""
        heads = [text for text, width in self.spans for text in (text, *[""] * (width - 1))]
        pairs = zip(heads or [""] * len(self.header), self.header, strict=True)
        return tuple(" ".join(filter(None, pair)) for pair in pairs)


def mark_best(texts: Sequence[str], numbers: Sequence[float], better: int) -> list[str]:
    """Return the texts with the best and the second best number marked; NaN takes no part.

    Numbers whose texts read the same share a place, so that no rounding decides between equals.
    """
    rivals = {t: better * x for t, x in zip(texts, numbers, strict=True) if not isnan(x)}
    if len(rivals) < 2:
        return list(texts)
    best, second = sorted(rivals, key=lambda text: -rivals[text])[:2]
    return [
        t if isnan(x) else BestText(t) if t == best else SecondText(t) if t == second else t
        for t, x in zip(texts, numbers, strict=True)
    ]
