"""What is handed to a worker: plain data, so that it can be sent to another process or machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from harness.plan.spec import Cell, Victim
from harness.store.record_files import Record

SCHEMA = 1
"""Version of the record's layout."""


@dataclass(frozen=True)
class Task:
    """A victim to train, one of its cells to run, or several of them at once: a cohort."""

    victim: Victim
    cell: Cell | None = None
    victim_record: Record | None = None
    """Of a cell: the record of its trained victim."""
    timeout: float | None = None
    """Seconds that each record may take; None means no limit."""
    others: dict[str, Record] = field(default_factory=dict)
    """Records of the other victims that it needs, by key: a clean model, or whose triggers score
    one."""
    mates: tuple[Cell, ...] = ()
    """Of a cohort: its other cells, of the same defense."""

    @property
    def key(self) -> str:
        """The key of the record that the task ends as, of a cohort that of the first."""
        return self.victim.key if self.cell is None else self.cell.key

    @property
    def name(self) -> str:
        """A readable name."""
        if self.cell is None:
            return f"victim {self.victim.name}"
        return f"{self.cell.name}, and {len(self.mates)} more" if self.mates else self.cell.name

    @property
    def limit(self) -> float | None:
        """Seconds that all of it may take."""
        return None if self.timeout is None else self.timeout * (1 + len(self.mates))

    def each(self) -> list[Task]:
        """Return one task per record."""
        return [replace(self, cell=cell, mates=()) for cell in (self.cell, *self.mates)]

    def head(self) -> dict[str, Any]:
        """Return what a record says before it says how the task went."""
        kind, what = ("victim", self.victim) if self.cell is None else ("cell", self.cell)
        return {
            "schema": SCHEMA,
            "kind": kind,
            "key": what.key,
            "name": what.name,
            "spec": what.spec,
        }
