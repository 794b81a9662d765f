"""Finds a cell of a study by its key or by words of its name."""

from __future__ import annotations

from itertools import pairwise

from harness.errors import UserError
from harness.plan.spec import Cell
from harness.plan.study import Study


def is_called(name: str, asked: list[str]) -> bool:
    """Tell whether a name holds all words; a number must be the one behind the same word."""
    parts = name.lower().split()
    pairs = set(pairwise(parts))
    numbers = [(word, after) for word, after in pairwise(asked) if after[0].isdigit()]
    words = [word for word in asked if not word[0].isdigit()]
    return pairs.issuperset(numbers) and all(any(word in part for part in parts) for word in words)


def found_cell(study: Study, asked: str) -> Cell:
    """Return the one cell whose key starts with ``asked``, or whose name holds all of its words.

    Raises:
        UserError: none, or several; names them.
    """
    by_key = [cell for cell in study.cells if cell.key.startswith(asked)]
    cells = by_key or [cell for cell in study.cells if is_called(cell.name, asked.lower().split())]
    if len(cells) == 1:
        return cells[0]
    if not cells:
        raise UserError(
            f"no cell of {study.name} is called {asked!r}; 'defuse run {study.path} --dry-run' lists all"
        )
    shown = "".join(f"\n  {cell.key}  {cell.name}" for cell in cells[:20])
    raise UserError(f"{len(cells)} cells of {study.name} are called {asked!r}; say more:{shown}")
