"""Finds a cell of a study by its key, or by words of its name."""

from __future__ import annotations

from itertools import pairwise

from harness.errors import UserError
from harness.plan.spec import Cell
from harness.plan.study import Study


def matches_words(name: str, words: list[str]) -> bool:
    """Tell whether a name has all words; a number must follow the same word as in the query."""
    parts = name.lower().split()
    pairs = set(pairwise(parts))
    numbers = [(word, after) for word, after in pairwise(words) if after[0].isdigit()]
    plain = [word for word in words if not word[0].isdigit()]
    return pairs.issuperset(numbers) and all(any(word in part for part in parts) for word in plain)


def find_cell(study: Study, query: str) -> Cell:
    """Return the one cell whose key starts with ``query``, or whose name has all of its words.

    Raises:
        UserError: none, or several; names them.
    """
    by_key = [cell for cell in study.cells if cell.key.startswith(query)]
    cells = by_key or [
        cell for cell in study.cells if matches_words(cell.name, query.lower().split())
    ]
    if len(cells) == 1:
        return cells[0]
    if not cells:
        raise UserError(
            f"no cell of {study.name} matches {query!r}; "
            f"'defuse run {study.path} --dry-run' lists all"
        )
    shown = "".join(f"\n  {cell.key}  {cell.name}" for cell in cells[:20])
    raise UserError(f"{len(cells)} cells of {study.name} match {query!r}; be more specific:{shown}")
