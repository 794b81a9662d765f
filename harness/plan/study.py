"""A study: its cells, the gate of its victims, and what its report shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from harness.plan.gate import Gate
from harness.plan.report_names import figure_names, table_names
from harness.plan.spec import Cell, Victim


@dataclass(frozen=True)
class Study:
    """A validated study. Plain data: it can be pickled, and imports no torch."""

    name: str
    path: str
    """The study file."""
    cells: list[Cell]
    """In the order of the file."""
    gate: Gate
    timeout: float | None = None
    """The most seconds that one victim or cell may take; None for 24 hours."""
    clean: dict[str, Victim] = field(default_factory=dict)
    """The clean model that a victim is compared with, by the victim's key, where the study trains
    one."""
    figures: tuple[str, ...] = field(default_factory=figure_names)
    """The figures of its report, in order: names, and paths of the user's own files."""
    tables: tuple[str, ...] = field(default_factory=table_names)
    """The tables of its report, likewise."""

    @cached_property
    def defended(self) -> dict[str, Victim]:
        """The victim of every cell, skipped ones included, by key."""
        return {cell.victim.key: cell.victim for cell in self.cells}

    def keys(self) -> set[str]:
        """Return the keys of all cells and of the victims that they need."""
        return {cell.key for cell in self.cells} | set(self.victims())

    def victims(self) -> dict[str, Victim]:
        """Return the victims that the cells need, by key; a clean model before its users."""
        needed: dict[str, Victim] = {}
        for cell in self.cells:
            if cell.skip is None:
                for victim in (cell.victim, *cell.triggers):
                    for each in (victim.clean, self.clean.get(victim.key), victim):
                        if each is not None:
                            needed.setdefault(each.key, each)
        return needed
