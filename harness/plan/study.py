"""A study: its cells and their probes, the gate of its victims, and what its report shows."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from functools import cached_property

from harness.contract.declare import ProbeInfo
from harness.plan.gate import Gate
from harness.plan.paper import Paper
from harness.plan.paths import shown_path
from harness.plan.probes import ProbeRun, plan_probes
from harness.plan.rank import Rank
from harness.plan.report_names import figure_names, table_names
from harness.plan.spec import Cell, MethodSpec, Victim
from harness.plan.stability import Variation


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
    rank: Rank = field(default_factory=Rank)
    """How its boards are sorted."""
    probes: tuple[MethodSpec[ProbeInfo], ...] = ()
    """The probes of every defended model."""
    stability: tuple[Variation, ...] = ()
    """The defenses with changed hyperparameters, which have cells but stand on no board."""
    figures: tuple[str, ...] = field(default_factory=figure_names)
    """The figures of its report, in order: names, and paths of the user's own files."""
    tables: tuple[str, ...] = field(default_factory=table_names)
    """The tables of its report, likewise."""
    paper: Paper = field(default_factory=Paper)
    """The page that they are made for, and what they show."""
    typed_after: tuple[str, ...] = ()
    """What a command line has after its file that others need too: KEY=VALUE, and folders."""

    @property
    def typed(self) -> str:
        """The study as a user types it here, for a shell: its file, and what comes after it."""
        return shlex.join([shown_path(self.path), *self.typed_after])

    @cached_property
    def defended(self) -> dict[str, Victim]:
        """The victim of every cell, skipped ones included, by key."""
        return {cell.victim.key: cell.victim for cell in self.cells}

    @cached_property
    def probe_runs(self) -> list[ProbeRun]:
        """The probes of all cells, but for those of changed defenses, and their controls."""
        changed = {variation.method for variation in self.stability}
        cells = [cell for cell in self.cells if cell.defense not in changed]
        return list(plan_probes(cells, self.probes, self.clean)) if self.probes else []

    def keys(self) -> set[str]:
        """Return the keys of all cells, of their probes and of the victims that they need."""
        probes = {run.key for run in self.probe_runs}
        return {cell.key for cell in self.cells} | probes | set(self.victims())

    def victims(self) -> dict[str, Victim]:
        """Return the victims that the cells need, by key; a clean model before its users."""
        return dict(self._needed)

    @cached_property
    def _needed(self) -> dict[str, Victim]:
        needed: dict[str, Victim] = {}
        for cell in self.cells:
            if cell.skip is None:
                for victim in cell.victims:
                    for each in (victim.clean, self.clean.get(victim.key), victim):
                        if each is not None:
                            needed.setdefault(each.key, each)
        return needed
