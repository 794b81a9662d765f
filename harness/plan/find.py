"""Finds a cell or a victim of a study by its key, or by words of its name."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.errors import UserError
from harness.plan.spec import Cell, Victim
from harness.plan.study import Study

VICTIM = "victim"
"""The word before the words of a victim's name."""


def matches_words(name: str, words: list[str]) -> bool:
    """Tell whether a name has all words; a number must follow the same word as in the query."""
    parts = name.lower().split()
    pairs = set(pairwise(parts))
    numbers = [(word, after) for word, after in pairwise(words) if after[0].isdigit()]
    plain = [word for word in words if not word[0].isdigit()]
    return pairs.issuperset(numbers) and all(any(word in part for part in parts) for word in plain)


def find_subject(study: Study, query: str) -> Cell | Victim:
    """Return the one cell or victim that a query names.

    A query is (the start of) a key, or words of a cell's name; for a victim, the word ``victim``
    and words of its name.

    Raises:
        UserError: none, or several; names them.
    """
    victims = list(study.victims().values())
    planned: list[Cell | Victim] = [*study.cells, *victims]
    by_key: Sequence[Cell | Victim] = [x for x in planned if query and x.key.startswith(query)]
    words = query.lower().split()
    kind, named = (VICTIM, victims) if words[:1] == [VICTIM] else ("cell", study.cells)
    subjects = by_key or _named(named, words[1:] if kind == VICTIM else words)
    if len(subjects) == 1:
        return subjects[0]
    if not subjects:
        raise UserError(
            f"no {kind} of {study.name} matches {query!r}; "
            f"'defuse run {study.typed} --dry-run' lists all"
        )
    shown = "".join(f"\n  {x.key}  {x.name}" for x in subjects[:20])
    raise UserError(
        f"{len(subjects)} {kind}s of {study.name} match {query!r}; be more specific:{shown}"
    )


def _named(subjects: Sequence[Cell | Victim], words: list[str]) -> Sequence[Cell | Victim]:
    """Return the subjects with all words in their names: as whole words, else as parts of words."""
    found = [x for x in subjects if matches_words(x.name, words)]
    whole = [x for x in found if set(words) <= set(x.name.lower().split())]
    return whole or found
