"""Decides which task is next: victims first, then cells, the longest first, and their probes."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from harness.execution.demand import demand_of
from harness.execution.durations import forecast_of, own_seconds
from harness.execution.probe_queue import ProbeQueue
from harness.execution.selection import Selection
from harness.execution.task import Task
from harness.plan.probes import ProbeRun
from harness.plan.spec import Cell, Victim
from harness.plan.study import Study
from harness.store.gate import remedy, why_not_planted
from harness.store.record import Failure, PreparedRecord, Status, TaskRecord, VictimRecord
from harness.store.record_files import LatestRecords


class Unplanted(NamedTuple):
    """A victim that failed the gate, and its cells, which are not run."""

    victim: Victim
    cells: int
    """How many cells it has that would have been run."""
    reason: str
    remedy: str
    """What to change first."""


@dataclass
class ReadyVictim:
    """The open cells of a trained victim, the largest budget first, and their cost in seconds."""

    cells: list[Cell]
    cost: float


class Schedule:
    """The open tasks of a study: hands out what can start, and records what has finished."""

    def __init__(
        self,
        study: Study,
        latest: LatestRecords,
        selection: Selection,
        has_artifacts: Callable[[VictimRecord], bool] = lambda _: True,
    ) -> None:
        """Find what is open; ``has_artifacts`` tells whether the files of a record still exist."""
        self.study = study
        self.latest = latest
        cells = selection.open_cells(study, latest)
        probes = selection.open_probes(study, cells, latest)
        victims = selection.open_victims(study, [*cells, *probes], latest, has_artifacts)
        last = selection.last_stage == "cells"
        to_run, to_probe = (cells, probes) if last else ([], [])
        self.forecast = forecast_of(study, [*victims, *to_run, *to_probe], latest)
        self.demand = demand_of([*victims, *to_run], latest)
        self._waiting: dict[str, list[Cell]] = defaultdict(list)
        """Open cells whose victim is not trained yet, by the victim's key."""
        self._ready: dict[str, ReadyVictim] = {}
        for cell in cells:
            self._waiting[cell.victim.key].append(cell)
        self._victims = deque(
            sorted(victims, key=lambda v: (v.is_clean, self._cost_with_cells(v)), reverse=True)
        )
        self._unfinished = {victim.key for victim in victims}
        """Keys of the victims that are still to be trained or in training."""
        if not last:
            self._waiting.clear()
        self.total_victims, self.total_cells = len(victims), len(to_run)
        self.total_probes = len(to_probe)
        self._probes = ProbeQueue(to_probe, self._unfinished | {cell.key for cell in to_run})
        self._taken_back: deque[Task] = deque()
        self.unplanted: list[Unplanted] = []
        """The victims that failed the gate in this run."""
        self.dependency_failures = [*self._release(), *self._start_probes(self._probes.free)]
        """Failure records of tasks that need a victim that had failed before the run."""

    def _cost_with_cells(self, victim: Victim) -> float:
        """Return what a victim and its open cells cost together."""
        cells = sum(map(self.forecast.expected_seconds, self._waiting.get(victim.key, ())))
        return self.forecast.expected_seconds(victim) + cells

    def next(self, current_victim: str | None, current_model: str | None = None) -> Task | None:
        """Return the next task of a worker; None while there is nothing that can start.

        Args:
            current_victim: key of the victim on the worker's device, whose cells and probes are
                preferred.
            current_model: key of the cell that the worker ran or probed last, whose probes are.
        """
        if self._taken_back:
            return self._taken_back.popleft()
        for victim in self._victims:
            if victim.clean is None or victim.clean.key not in self._unfinished:
                self._victims.remove(victim)
                records = self._records(_clean_model(victim))
                return Task(victim, timeout=self.study.timeout, other_victims=records)
        if current_victim in self._ready:
            return self._next_cell(current_victim)
        probe = self._probes.next(current_victim, current_model)
        if probe is not None:
            return self._probe_task(probe)
        if self._ready:
            return self._next_cell(max(self._ready, key=lambda key: self._ready[key].cost))
        probe = self._probes.next(self._probes.any_victim(), None)
        return None if probe is None else self._probe_task(probe)

    def _probe_task(self, probe: ProbeRun) -> Task:
        cell = probe.cell
        return Task(
            probe.victim,
            cell,
            victim_record=self._record(probe.victim.key),
            timeout=self.study.timeout,
            other_victims={} if probe.clean is None else self._records([probe.clean]),
            probe=probe,
            cell_record=None if cell is None else self.latest.cell(cell.key),
        )

    def _next_cell(self, victim_key: str) -> Task:
        """Return the task of the longest open cell of a trained victim."""
        ready = self._ready[victim_key]
        costs = [self.forecast.expected_seconds(cell) for cell in ready.cells]
        cell = ready.cells.pop(costs.index(max(costs)))
        ready.cost -= self.forecast.expected_seconds(cell)
        if not ready.cells:
            del self._ready[victim_key]
        return Task(
            cell.victim,
            cell,
            victim_record=self._record(victim_key),
            timeout=self.study.timeout,
            other_victims=self._records(cell.triggers),
        )

    def take_back(self, task: Task) -> None:
        """Take back a task that was handed out, to hand it out again, before all others."""
        self._taken_back.append(task)

    def _records(self, victims: Iterable[Victim]) -> dict[str, VictimRecord]:
        return {victim.key: self._record(victim.key) for victim in victims}

    def _record(self, victim_key: str) -> VictimRecord:
        """Return the record of a victim that is finished."""
        record = self.latest.victim(victim_key)
        assert record is not None
        return record

    def finish(self, task: Task, record: TaskRecord) -> list[TaskRecord]:
        """Take a task's record; return those of the tasks that can't be run because it failed."""
        self.latest.add(record)
        seconds = None if record.status.failed else own_seconds(record)
        self.forecast.finish(task.subject, seconds)
        failures = []
        if isinstance(record, VictimRecord):
            self._unfinished.discard(task.key)
            failures = self._release()
        return [*failures, *self._start_probes(self._probes.settle(task.key))]

    def _start_probes(self, probes: Iterable[ProbeRun]) -> list[TaskRecord]:
        """Take probes that wait for nothing; return records of those that can't be run."""
        failures = []
        for probe in probes:
            if self._is_unplanted(probe.victim):
                self._drop(probe)
                continue
            failed = next((x for x in probe.needed if self.latest.status(x) is not Status.OK), None)
            if failed is None:
                self._probes.add(probe)
            else:
                record = self.latest[failed]
                error = "" if isinstance(record, PreparedRecord) else record.error
                reason = f"its {record.kind} failed: {error}"
                task = Task(probe.victim, probe.cell, probe=probe)
                failures.append(self._dependency_failure(task, reason))
        return failures

    def _release(self) -> list[TaskRecord]:
        """Make the cells of trained victims ready; return records of tasks that can't be run."""
        failures = [x for victim in list(self._victims) for x in self._fail_dependent(victim)]
        for key, cells in list(self._waiting.items()):
            needed = (key, *(victim.key for victim in cells[0].triggers))
            if self._unfinished.isdisjoint((*needed, *self._reference(key))):
                del self._waiting[key]
                error = self._error_of(needed)
                if error is None:
                    self._make_ready(key, cells)
                else:
                    reason = f"its victim failed: {error}"
                    failures += [self._dependency_failure(Task(x.victim, x), reason) for x in cells]
                    for cell in cells:
                        failures += self._start_probes(self._probes.settle(cell.key))
        return failures

    def _reference(self, victim_key: str) -> tuple[str, ...]:
        """Return the key of the clean model that the gate compares a victim with, if there is."""
        clean = self.study.clean.get(victim_key)
        return () if clean is None else (clean.key,)

    def _is_unplanted(self, victim: Victim) -> bool:
        """Tell whether nothing is run on a victim because its attack failed the gate."""
        reason = why_not_planted(self.study, victim, self.latest)
        return reason is not None and self.study.gate.run != "all"

    def _drop(self, probe: ProbeRun) -> None:
        self.total_probes -= 1
        self.forecast.finish(probe)

    def _make_ready(self, victim_key: str, cells: list[Cell]) -> None:
        victim = cells[0].victim
        reason = why_not_planted(self.study, victim, self.latest)
        if reason is not None and self._is_unplanted(victim):
            change = remedy(self.study, victim, self.latest)
            self.unplanted.append(Unplanted(victim, len(cells), reason, change))
            self.total_cells -= len(cells)
            for cell in cells:
                self.forecast.finish(cell)
                for probe in self._probes.settle(cell.key):
                    self._drop(probe)
            return
        counts = cells[0].victim.data.train_counts
        order = sorted(cells, key=lambda cell: sum(cell.budget.counts(counts)), reverse=True)
        self._ready[victim_key] = ReadyVictim(
            order, sum(map(self.forecast.expected_seconds, cells))
        )

    def _fail_dependent(self, victim: Victim) -> list[TaskRecord]:
        """Return the failure record of a victim whose clean model has failed; nothing otherwise."""
        needed = [clean.key for clean in _clean_model(victim)]
        error = self._error_of(needed) if self._unfinished.isdisjoint(needed) else None
        if error is None:
            return []
        self._victims.remove(victim)
        self._unfinished.discard(victim.key)
        return [self._dependency_failure(Task(victim), f"its clean model failed: {error}")]

    def _dependency_failure(self, task: Task, reason: str) -> TaskRecord:
        """Drop a task that can't be run, and return its record."""
        record = task.failed(Failure(Status.ERROR, reason))
        self.latest.add(record)
        self.forecast.finish(task.subject)
        return record

    def _error_of(self, victims: Iterable[str]) -> str | None:
        """Return the error of the first victim that failed; None if none did."""
        records = map(self._record, victims)
        return next((record.error for record in records if record.status.failed), None)


def _clean_model(victim: Victim) -> tuple[Victim, ...]:
    """Return the clean model that an attack needs, where it needs one."""
    return () if victim.clean is None else (victim.clean,)
