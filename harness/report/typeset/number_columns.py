r"""Columns of numbers that LaTeX aligns at the decimal point, with the package siunitx."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.report.typeset.table import BestText, Row, SecondText

PACKAGE = r"\usepackage{siunitx}\sisetup{mode=text,detect-weight=true,detect-family=true}"
_NUMBER = re.compile(r"(−?)(\d+)(?:\.(\d+))?([†‡§]*)")
SetText = Callable[[str], str]


@dataclass(frozen=True)
class NumberColumn:
    """The room that the numbers of a column need: digits, sign, marks behind."""

    signs: str
    whole: int
    decimals: int
    marks: str

    def specification(self, set_text: SetText) -> str:
        """Return the column as ``tabular`` takes it."""
        sign = "-" if self.signs else ""
        post = f",table-space-text-post={{{set_text(self.marks)}}}" if self.marks else ""
        return f"S[table-format={sign}{self.whole}.{self.decimals}{post}]"

    def cell(self, text: str, set_text: SetText) -> str:
        """Return a text of the column; what is no number stands in its middle.

        siunitx underlines no number: an underlined one is a text as wide as all numbers.
        """
        found = _NUMBER.fullmatch(text)
        if found is None:
            return f"{{{set_text(text)}}}"
        sign, whole, _, marks = found.groups(default="")
        number = text.removesuffix(marks)
        if isinstance(text, SecondText):
            before = self.signs[len(sign) :] + "0" * (self.whole - len(whole))
            after = self.marks[len(marks) :]
            underlined = rf"\underline{{{set_text(number)}}}{set_text(marks)}"
            return rf"{{\phantom{{{set_text(before)}}}{underlined}\phantom{{{set_text(after)}}}}}"
        bold = r"\bfseries " if isinstance(text, BestText) else ""
        return f"{bold}{number.replace('−', '-')}" + (f"{{{set_text(marks)}}}" if marks else "")


def number_column(texts: Iterable[str]) -> NumberColumn | None:
    """Return the room of a column; None where it holds no number, or more than numbers."""
    matches = {text: _NUMBER.fullmatch(text) for text in texts if re.search(r"\d", text)}
    found = [match.groups(default="") for match in matches.values() if match]
    if not found or len(found) < len(matches):
        return None
    signs, whole, decimals, marks = zip(*found, strict=True)
    return NumberColumn(
        max(signs), max(map(len, whole)), max(map(len, decimals)), max(marks, key=len)
    )


def number_columns(rows: Sequence[Row]) -> list[NumberColumn | None]:
    """Return the columns of a table's rows; the first has names."""
    return [None, *(number_column(column) for column in list(zip(*rows, strict=True))[1:])]
