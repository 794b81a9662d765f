"""Names on boards, when several studies are joined: one name never stands for two different things."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from harness.contract import DefenseInfo, Recipe
from harness.data.info import DataInfo
from harness.errors import UserError
from harness.plan.keys import digest
from harness.plan.spec import MethodSpec, Victim
from harness.plan.study import Study

Thing = DataInfo | Recipe | MethodSpec[Any]


class DisplayNames:
    """The names of what the studies hold.

    Within a study they are the study's own. A name that means something else in another study
    (other hyperparameters, another recipe) carries its study's name in brackets.

    Raises:
        UserError: two studies have one name.
    """

    def __init__(self, studies: Sequence[Study]) -> None:
        names = [study.name for study in studies]
        if repeated := {name for name in names if names.count(name) > 1}:
            raise UserError(f"two studies are called {min(repeated)!r}; give one of them a 'name:'")
        meanings: dict[tuple[str, str], set[str]] = defaultdict(set)
        for study in studies if len(studies) > 1 else ():
            for kind, label, thing in set(_labelled_things(study)):
                meanings[kind, label].add(_meaning(thing))
        self._unclear = {said for said, found in meanings.items() if len(found) > 1}

    def of_victim(self, study: Study, victim: Victim) -> dict[str, str]:
        """Return the names of a victim's data, model, recipe and attack."""
        said = {
            "data": victim.data.name,
            "model": victim.model.label,
            "recipe": victim.recipe_name,
            "attack": victim.attack.label,
        }
        return {kind: self._label(study, kind, label) for kind, label in said.items()}

    def of_defense(self, study: Study, defense: MethodSpec[DefenseInfo]) -> str:
        """Return the name of a defense."""
        return self._label(study, "defense", defense.label)

    def _label(self, study: Study, kind: str, label: str) -> str:
        return f"{label} [{study.name}]" if (kind, label) in self._unclear else label


def _labelled_things(study: Study) -> Iterator[tuple[str, str, Thing]]:
    """Yield everything that a study holds, with its kind and label."""
    for cell in study.cells:
        victim = cell.victim
        yield "data", victim.data.name, victim.data
        yield "model", victim.model.label, victim.model
        yield "recipe", victim.recipe_name, victim.recipe
        yield "attack", victim.attack.label, victim.attack
        yield "defense", cell.defense.label, cell.defense


def _meaning(thing: Thing) -> str:
    if isinstance(thing, MethodSpec):
        return thing.digest
    return digest(thing.identity() if isinstance(thing, DataInfo) else asdict(thing))
