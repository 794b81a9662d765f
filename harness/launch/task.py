"""What is handed to a worker: plain data, so that it can be sent to another process or machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.plan import Cell, Victim
from harness.records import Record

SCHEMA = 1
"""Version of the record's layout."""


@dataclass(frozen=True)
class Task:
    """A victim to train, or one of its cells to run."""

    victim: Victim
    cell: Cell | None = None
    victim_record: Record | None = None
    """Of a cell: the record of its trained victim."""
    timeout: float | None = None
    """Seconds; None means no limit."""
    others: dict[str, Record] = field(default_factory=dict)
    """Records of the other victims that it needs, by key: a clean model, or whose triggers score one."""

    @property
    def key(self) -> str:
        """The key of the record that the task ends as."""
        return self.victim.key if self.cell is None else self.cell.key

    @property
    def name(self) -> str:
        """A readable name."""
        return f"victim {self.victim.name}" if self.cell is None else self.cell.name

    def head(self) -> dict[str, Any]:
        """Return what a record says before it says how the task went."""
        kind, what = ("victim", self.victim) if self.cell is None else ("cell", self.cell)
        return {"schema": SCHEMA, "kind": kind, "key": what.key, "name": what.name, "spec": what.spec}
