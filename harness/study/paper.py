"""The ``paper`` of a study or of ``--paper``: read, and compared with what the studies have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import yaml

from harness.errors import Fault, Location, UserError, faults_of, nearest
from harness.plan.names import NO_DEFENSE
from harness.plan.paper import Paper
from harness.plan.spec import Cell
from harness.plan.validation import validate


def read_paper(text: str, cells: Sequence[Cell]) -> Paper:
    """Return the paper that ``--paper`` describes: a format, or a YAML mapping.

    Raises:
        UserError: one line per fault.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"--paper: not YAML: {' '.join(str(error).split())}") from error
    if isinstance(values, str):
        values = {"format": values}
    try:
        paper: Paper = validate(Paper, values)
        faults = list(paper_faults(paper, cells))
    except UserError as error:
        faults = faults_of(error)
    if faults:
        lines = (
            f"--paper {'.'.join(map(str, location))}: {message}" for location, message in faults
        )
        raise UserError("\n".join(lines))
    return paper


def paper_faults(paper: Paper, cells: Sequence[Cell]) -> Iterator[Fault]:
    """Yield every name in a paper that none of the cells has."""
    defenses = {cell.defense.label for cell in cells}
    named: list[tuple[Location, str]] = [
        (("defenses", i), label) for i, label in enumerate(paper.defenses)
    ]
    if paper.ours is not None:
        named.append((("ours",), paper.ours))
    for location, label in named:
        if label not in defenses:
            yield location, f"no defense {label!r} here{nearest(label, defenses)}"
    known = {NO_DEFENSE, *defenses}
    for victim in {cell.victim.key: cell.victim for cell in cells}.values():
        known |= {victim.attack.label, victim.model.label}
    for label in paper.names:
        if label not in known:
            yield ("names", label), f"nothing is called {label!r} here{nearest(label, known)}"
