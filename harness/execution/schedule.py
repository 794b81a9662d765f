"""Which task is next: victims first, a victim's cells as soon as it is ready, the longest first."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from harness.execution.durations import DurationEstimator, Kinds, TaskKinds
from harness.execution.task import Task
from harness.plan.registry import describe
from harness.plan.spec import Cell, Study, Victim
from harness.store.record_files import LatestRecords, Record

Mode = Literal["run", "retry", "force", "read-only"]
Stage = Literal["clean models", "victims", "cells"]
ANY_TIME = "9999"


def now() -> str:
    """Return the time, as records write it."""
    return datetime.now(UTC).isoformat()


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What of a study is to be worked on.

    run: what has no record; retry: what has no ok record; force: everything; read-only: nothing. A
        record
    made after ``since`` was made on behalf of this very wish, and is not made again.
    """

    mode: Mode = "run"
    since: str = ANY_TIME
    up_to: Stage = "cells"
    """How far: clean models that other victims need, all victims, or the cells too."""

    def wants(self, key: str, latest: LatestRecords) -> bool:
        """Tell whether a key is to be worked on."""
        if self.mode == "read-only" or key not in latest:
            return self.mode != "read-only"
        if self.mode == "run" or latest.finished(key) >= self.since:
            return False
        return self.mode == "force" or latest.status(key) != "ok"


@dataclass
class _Ready:
    """The open cells of a victim at hand, the largest budget first, and their cost in seconds."""

    cells: list[Cell]
    cost: float


class Schedule:
    """The open tasks of a study. It is told what ended, and hands out what can start."""

    def __init__(
        self,
        study: Study,
        latest: LatestRecords,
        wish: Selection,
        at_hand: Callable[[Record], bool] = lambda _: True,
    ) -> None:
        """Find what is open; ``at_hand`` tells whether the files of a victim's record are still there."""
        self.timeout = study.timeout
        self.latest = latest
        self.costs = DurationEstimator()
        self._describe = TaskKinds()
        self._with_cells = wish.up_to == "cells"
        self.waiting: dict[str, list[Cell]] = defaultdict(list)
        """Open cells by victim, until the victim is ready."""
        self.ready: dict[str, _Ready] = {}
        self._apart: set[str] = set()
        """Keys of cells whose cohort has failed."""
        for cell in study.cells:
            if cell.skip is None and wish.wants(cell.key, latest):
                self.waiting[cell.victim.key].append(cell)
        needed = [x for x in self._needed(study) if x.is_clean or wish.up_to != "clean models"]
        open_ = [victim for victim in needed if self._is_open(victim, wish, at_hand)]
        if self.waiting or open_:
            self.costs.learn(latest)
        self.victims = deque(sorted(open_, key=lambda v: (v.is_clean, self._load(v)), reverse=True))
        self.unfinished = {victim.key for victim in open_}
        """Victims that have yet to end."""
        self.total_victims = len(open_)
        self.total_cells = sum(map(len, self.waiting.values())) if self._with_cells else 0
        self.open: Counter[Kinds] = Counter(map(self._describe.victim, open_))
        if self._with_cells:
            self.open.update(
                self._describe.cell(x) for cells in self.waiting.values() for x in cells
            )
        self.fallen = self._release()
        """Records of what fell with a victim that had failed before."""

    def _needed(self, study: Study) -> list[Victim]:
        """Return the victims of open cells, what those need, and the clean models of the gate."""
        cells = [cell for cells in self.waiting.values() for cell in cells]
        users = [victim for cell in cells for victim in (cell.victim, *cell.triggers)]
        keys = {x.key for victim in users for x in (victim, victim.clean) if x is not None}
        keys |= {victim.key for victim in study.clean.values()}
        return [victim for key, victim in study.victims().items() if key in keys]

    def _is_open(self, victim: Victim, wish: Selection, at_hand: Callable[[Record], bool]) -> bool:
        """Tell whether a victim is to be trained: it is wished for, or its files are gone."""
        if wish.mode == "read-only":
            return False
        if wish.wants(victim.key, self.latest):
            return True
        record = self.latest[victim.key]
        return record["status"] == "ok" and not at_hand(record)

    def _load(self, victim: Victim) -> float:
        """Return what a victim and its cells cost together."""
        cells = sum(map(self._cost, self.waiting.get(victim.key, ())))
        return self.costs.rank(self._describe.victim(victim)) + cells

    def left(self) -> float | None:
        """Return the seconds of work that is left, on one worker; None before anything is known."""
        costs = {kinds: self.costs.of(kinds) for kinds in self.open}
        known = [cost for cost in costs.values() if cost is not None]
        if not known:
            return None
        mean = sum(known) / len(known)
        return sum(
            n * (mean if costs[k] is None else costs[k] or 0.0) for k, n in self.open.items()
        )

    def expected(self, task: Task) -> float | None:
        """Return the seconds that a task is expected to take; None when nothing is known."""
        return self.costs.of(self._kinds(task))

    def _kinds(self, task: Task) -> Kinds:
        return (
            self._describe.victim(task.victim)
            if task.cell is None
            else self._describe.cell(task.cell)
        )

    def next(self, held: str | None, *, cohorts: bool = False) -> Task | None:
        """Return the next task for a worker that holds the victim ``held``, or None for now.

        ``cohorts``: cells that can be run at once are.
        """
        for victim in self.victims:
            if victim.clean is None or victim.clean.key not in self.unfinished:
                self.victims.remove(victim)
                return Task(victim, timeout=self.timeout, others=self._records(_sources(victim)))
        if not self.ready:
            return None
        key = held if held in self.ready else max(self.ready, key=lambda key: self.ready[key].cost)
        ready = self.ready[key]
        longest = max(range(len(ready.cells)), key=lambda i: self._cost(ready.cells[i]))
        cell = ready.cells.pop(longest)
        mates = [x for x in ready.cells if cohorts and self._can_join(cell, x)]
        ready.cells = [x for x in ready.cells if all(x is not mate for mate in mates)]
        ready.cost -= sum(map(self._cost, (cell, *mates)))
        if not ready.cells:
            del self.ready[key]
        others = self._records(cell.triggers)
        return Task(cell.victim, cell, self.latest[key], self.timeout, others, tuple(mates))

    def _can_join(self, cell: Cell, other: Cell) -> bool:
        same = other.defense is cell.defense and self._apart.isdisjoint({cell.key, other.key})
        return same and describe("defense", cell.defense.ref).about.cohort is not None

    def apart(self, task: Task) -> None:
        """Take back a cohort that has failed: its cells are run one by one."""
        cells = [each.cell for each in task.each() if each.cell is not None]
        self._apart |= {cell.key for cell in cells}
        ready = self.ready.setdefault(task.victim.key, _Ready([], 0.0))
        ready.cells += cells
        ready.cost += sum(map(self._cost, cells))

    def _records(self, victims: Iterable[Victim]) -> dict[str, Record]:
        return {victim.key: self.latest[victim.key] for victim in victims}

    def ended(self, task: Task, record: Record) -> list[Record]:
        """Note a task's record; return the records of what falls with a failed victim."""
        self.latest[task.key] = record
        kinds = self._kinds(task)
        self.open[kinds] -= 1
        if record["status"] == "ok":
            self.costs.note(kinds, record["wall_seconds"])
        if task.cell is not None:
            return []
        self.unfinished.discard(task.key)
        return self._release()

    def _release(self) -> list[Record]:
        """Make the cells ready whose victims have ended; return the records of what can't be done."""
        fallen = [x for victim in list(self.victims) for x in self._fall(victim)]
        if not self._with_cells:
            return fallen
        for key, cells in list(self.waiting.items()):
            sources = (key, *(victim.key for victim in cells[0].triggers))
            if self.unfinished.isdisjoint(sources):
                del self.waiting[key]
                failed = self._failed(sources)
                if failed is None:
                    self._make_ready(key, cells)
                else:
                    fallen += [
                        self._lost(Task(x.victim, x), f"its victim failed: {failed}") for x in cells
                    ]
        return fallen

    def _make_ready(self, victim_key: str, cells: list[Cell]) -> None:
        counts = cells[0].victim.data.train_counts
        order = sorted(cells, key=lambda cell: sum(cell.budget.counts(counts)), reverse=True)
        self.ready[victim_key] = _Ready(order, sum(map(self._cost, cells)))

    def _cost(self, cell: Cell) -> float:
        return self.costs.rank(self._describe.cell(cell))

    def _fall(self, victim: Victim) -> list[Record]:
        """Give up a victim whose clean model has failed."""
        keys = [source.key for source in _sources(victim)]
        failed = self._failed(keys) if self.unfinished.isdisjoint(keys) else None
        if failed is None:
            return []
        self.victims.remove(victim)
        self.unfinished.discard(victim.key)
        return [self._lost(Task(victim), f"its clean model failed: {failed}")]

    def _lost(self, task: Task, reason: str) -> Record:
        """Give up a task that can't be done, and return its record."""
        record = self.latest[task.key] = failure(task, "error", reason)
        self.open[self._kinds(task)] -= 1
        return record

    def _failed(self, keys: Iterable[str]) -> str | None:
        """Return the error of the first victim that failed, None where all are well."""
        return next(
            (self.latest[key]["error"] for key in keys if self.latest[key]["status"] != "ok"), None
        )


def _sources(victim: Victim) -> tuple[Victim, ...]:
    return () if victim.clean is None else (victim.clean,)


def failure(task: Task, status: str, error: str) -> Record:
    """Return the record of a task that could not write its own."""
    return {
        **task.head(),
        "status": status,
        "error": error,
        "scalars": [],
        "wall_seconds": 0.0,
        "finished": now(),
    }
