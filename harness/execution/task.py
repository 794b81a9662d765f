"""What a supervisor and its workers send each other: plain data, picklable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from harness.store.record import (
    NOT_RUN,
    CellRecord,
    Failure,
    ProbeRecord,
    Run,
    TaskRecord,
    VictimRecord,
)

if TYPE_CHECKING:
    from harness.execution.slots import Slot
    from harness.plan.probes import ProbeRun
    from harness.plan.spec import Cell, Victim


LONGEST = 24 * 3600.0
"""Seconds that a victim or a cell may take if the study has no ``timeout``."""


@dataclass(frozen=True)
class Task:
    """A victim to train, one of its cells to run, or a probe of a model."""

    victim: Victim
    cell: Cell | None = None
    victim_record: VictimRecord | None = None
    """The record of the trained victim; None for the task that trains it."""
    timeout: float | None = None
    """Seconds that it may take; None means LONGEST."""
    workers: int = 1
    """Workers that share the device while it runs, its own included."""
    other_victims: dict[str, VictimRecord] = field(default_factory=dict)
    """Records of the other victims that the task needs, by key: the clean model of an attack or of
    a probe, or the victims whose triggers a clean model is evaluated with."""
    probe: ProbeRun | None = None
    """The probe of the cell's model or, without a cell, of the clean model."""
    cell_record: CellRecord | None = None
    """For a probe: the record of the cell."""

    @property
    def subject(self) -> Victim | Cell | ProbeRun:
        """The victim to train, the cell to run, or the probe."""
        return self.probe or self.cell or self.victim

    @property
    def key(self) -> str:
        """The key of the task's record."""
        return self.subject.key

    @property
    def name(self) -> str:
        """A readable name."""
        kind = "victim " if self.subject is self.victim else ""
        return f"{kind}{self.subject.name}"

    @property
    def model_key(self) -> str | None:
        """The key of the cell whose model the task makes or tests, if there is one."""
        return None if self.cell is None else self.cell.key

    @property
    def limit(self) -> float:
        """Seconds that the task may take."""
        return self.timeout or LONGEST

    def failed(self, failure: Failure, run: Run = NOT_RUN) -> TaskRecord:
        """Return the record of the task when it has failed; by default, without having run."""
        if self.probe is not None:
            return ProbeRecord.failed(self.probe, failure, run)
        if self.cell is not None:
            return CellRecord.failed(self.cell, failure, run)
        return VictimRecord.failed(self.victim, failure, run)


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

    def on_set_aside(self, task: Task) -> None:
        """A task that was started has ended without a record, and will be started again."""

    def on_finish(self, record: TaskRecord) -> None:
        """A record is in the store."""

    def on_give_up(self, reason: str) -> None:
        """A device is not used any more."""
