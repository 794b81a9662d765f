"""What a supervisor and its workers send each other: plain data, picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.store.record import NOT_RUN, CellRecord, Failure, Run, TaskRecord, VictimRecord

if TYPE_CHECKING:
    from harness.execution.slots import Slot
    from harness.plan.spec import Cell, Victim


LONGEST = 24 * 3600.0
"""Seconds that a victim or a cell may take if the study has no ``timeout``."""


@dataclass(frozen=True)
class Task:
    """A victim to train, or one of its cells to run."""

    victim: Victim
    cell: Cell | None = None
    victim_record: VictimRecord | None = None
    """The record of the trained victim; None for the task that trains it."""
    timeout: float | None = None
    """Seconds that it may take; None means LONGEST."""
    other_victims: dict[str, VictimRecord] = field(default_factory=dict)
    """Records of the other victims that the task needs, by key: the clean model of an attack, or
    the victims whose triggers a clean model is evaluated with."""

    @property
    def subject(self) -> Victim | Cell:
        """The victim to train, or the cell to run."""
        return self.victim if self.cell is None else self.cell

    @property
    def key(self) -> str:
        """The key of the task's record."""
        return self.subject.key

    @property
    def name(self) -> str:
        """A readable name."""
        return f"victim {self.victim.name}" if self.cell is None else self.cell.name

    @property
    def limit(self) -> float:
        """Seconds that the task may take."""
        return self.timeout or LONGEST

    def failed(self, failure: Failure, run: Run = NOT_RUN) -> TaskRecord:
        """Return the record of the task when it has failed; by default, without having run."""
        if self.cell is None:
            return VictimRecord.failed(self.victim, failure, run)
        return CellRecord.failed(self.cell, failure, run)


class WorkerReady(NamedTuple):
    """What a worker sends before its first task: its modules are imported, its device works."""


class LastRecord(NamedTuple):
    """What a worker sends if a task left something behind and it should run no other."""

    record: TaskRecord


class StoreFailed(NamedTuple):
    """What a worker sends in place of a record when a task's artifacts could not be saved."""

    reason: str


class RunListener(Protocol):
    """Is notified of what happens in a run."""

    def on_start(self, task: Task, slot: Slot) -> None:
        """A worker starts a task."""

    def on_finish(self, record: TaskRecord) -> None:
        """A record is in the store."""
