"""The labels in a frame, when several studies are joined: no label means two different things."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.errors import UserError
from harness.plan.keys import canonical
from harness.plan.names import NO_DEFENSE
from harness.report.frame.display_names import DisplayNames

if TYPE_CHECKING:
    from harness.plan.spec import MethodSpec, Victim
    from harness.plan.study import Study


class StudyLabels:
    """The labels of what the studies hold, unique over all of them.

    Within a study they are the study's own. A label that means something else in another study
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
            for column, label, meaning in _meanings(study):
                meanings[column, label].add(meaning)
        self._ambiguous = {label for label, found in meanings.items() if len(found) > 1}
        self._studies = studies

    def of_victim(self, study: Study, victim: Victim) -> dict[str, str]:
        """Return the labels of a victim's data, model, recipe and attack, by column."""
        labels = {
            "data": victim.data.name,
            "model": victim.model.label,
            "recipe": victim.recipe_name,
            "attack": victim.attack.label,
        }
        return {
            column: label + self._suffix(study, column, label) for column, label in labels.items()
        }

    def of_defense(self, study: Study, defense: MethodSpec[Any]) -> str:
        """Return the label of a defense."""
        return defense.label + self._suffix(study, "defense", defense.label)

    def of_probe(self, study: Study, probe: MethodSpec[Any]) -> str:
        """Return the label of a probe."""
        return probe.label + self._suffix(study, "probe", probe.label)

    def display_names(self) -> DisplayNames:
        """Return what readers see for each label.

        Methods of one kind whose display names are the same keep their labels.
        """
        names: dict[tuple[str, str], str] = {}
        for study in self._studies:
            for method in methods_of(study):
                if (method.kind, method.name) == ("defense", NO_DEFENSE):
                    continue
                suffix = self._suffix(study, method.kind, method.label)
                names[method.kind, method.label + suffix] = method.display + suffix
        uses = Counter((column, name) for (column, _), name in names.items())
        return DisplayNames(
            {
                (column, label): name if uses[column, name] == 1 else label
                for (column, label), name in names.items()
            }
        )

    def _suffix(self, study: Study, column: str, label: str) -> str:
        return f" [{study.name}]" if (column, label) in self._ambiguous else ""


def methods_of(study: Study) -> list[MethodSpec[Any]]:
    """Return every defense, attack, architecture and probe of a study, each once."""
    victims = study.defended.values()
    return [
        *dict.fromkeys(cell.defense for cell in study.cells),
        *dict.fromkeys(victim.attack for victim in victims),
        *dict.fromkeys(victim.model for victim in victims),
        *study.probes,
    ]


def _meanings(study: Study) -> Iterator[tuple[str, str, str]]:
    """Yield column, label and meaning of everything that a study holds."""
    for victim in study.defended.values():
        yield "data", victim.data.name, canonical(victim.data.identity())
        yield "recipe", victim.recipe_name, canonical(asdict(victim.recipe))
    for method in methods_of(study):
        yield method.kind, method.label, method.digest
