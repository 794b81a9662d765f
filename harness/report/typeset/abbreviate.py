"""Short headings for a table that is too wide, with a legend in its caption."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from harness.report.typeset.table import TextTable

SHORT = 6
"""Names of at most this number of letters stay as they are."""
_WORDS = re.compile(r"\d+|[A-Z]?[a-z]+|[A-Z]")


def abbreviated(table: TextTable) -> TextTable:
    """Return a table with the headings above its columns abbreviated, and what they stand for."""
    short = abbreviations(text for text, _ in table.spans)
    legend = "; ".join(f"{short[text]}: {text}" for text in short if short[text] != text)
    if not legend:
        return table
    return replace(
        table,
        spans=tuple((short[text], width) for text, width in table.spans),
        caption=f"{table.caption} {legend}.",
    )


def abbreviations(names: Iterable[str]) -> dict[str, str]:
    """Return a short form of each name, no two alike: initials, or the beginning of a single word.

    ``Input-aware`` becomes IA, ``Grad-Prune (synthetic)`` GPS, ``Blended`` Blen.
    """
    forms = {name: _short(name) for name in names}
    uses = Counter(forms.values())
    return {name: form if uses[form] == 1 else name for name, form in forms.items()}


def _short(name: str) -> str:
    if len(name) <= SHORT:
        return name
    words = _WORDS.findall(name)
    if len(words) < 2:
        return f"{name[:4]}."
    return "".join(word if word.isdigit() else word[0].upper() for word in words)
