"""Which task is next: victims first, a victim's cells as soon as it is ready, no idle worker in between."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Literal

from harness.launch.task import Task
from harness.plan import Cell, Study, Victim
from harness.store import Record

Mode = Literal["run", "retry", "force", "read-only"]
Latest = dict[str, Record]


def wanted(key: str, latest: Latest, mode: Mode) -> bool:
    """Tell whether a key is to be worked on.

    run: it has no record; retry: it has no ok record; force: always; read-only: never.
    """
    if mode == "read-only":
        return False
    if mode == "force" or key not in latest:
        return True
    return mode == "retry" and latest[key]["status"] != "ok"


class Schedule:
    """The open tasks of a study. It is told what ended, and hands out what can start."""

    def __init__(self, study: Study, latest: Latest, mode: Mode) -> None:
        self.timeout = study.timeout
        self.latest = latest
        self.waiting: dict[str, deque[Cell]] = defaultdict(deque)
        """Open cells by victim, until the victim is ready."""
        self.ready: dict[str, deque[Cell]] = {}
        for cell in study.cells:
            if cell.skip is None and wanted(cell.key, latest, mode):
                self.waiting[cell.victim.key].append(cell)
        self.victims: deque[Victim] = deque(v for v in self._needed(study) if wanted(v.key, latest, mode))
        self.unfinished = {victim.key for victim in self.victims}
        """Victims that have yet to end."""
        self.total_victims = len(self.victims)
        self.total_cells = sum(map(len, self.waiting.values()))
        self._work = Counter(cell.defense.name for cells in self.waiting.values() for cell in cells)
        self.fallen = self._release()
        """Records of what fell with a victim that had failed before."""

    def _needed(self, study: Study) -> list[Victim]:
        """Return the victims of open cells, what those need, and the clean models of the gate."""
        cells = [cell for cells in self.waiting.values() for cell in cells]
        users = [victim for cell in cells for victim in (cell.victim, *cell.triggers)]
        keys = {x.key for victim in users for x in (victim, victim.clean) if x is not None}
        keys |= {victim.key for victim in study.clean.values()}
        return [victim for key, victim in study.victims().items() if key in keys]

    def open_work(self) -> Counter[str]:
        """Return how many tasks of each kind there are: ``victim``, or the name of a defense."""
        return self._work + Counter(victim=self.total_victims)

    def next(self, held: str | None) -> Task | None:
        """Return the next task for a worker that holds the victim ``held``, or None for now."""
        for victim in self.victims:
            if victim.clean is None or victim.clean.key not in self.unfinished:
                self.victims.remove(victim)
                return Task(victim, timeout=self.timeout, others=self._records(_sources(victim)))
        if not self.ready:
            return None
        key = held if held in self.ready else max(self.ready, key=lambda key: len(self.ready[key]))
        cell = self.ready[key].popleft()
        if not self.ready[key]:
            del self.ready[key]
        return Task(cell.victim, cell, self.latest[key], self.timeout, self._records(cell.triggers))

    def _records(self, victims: Iterable[Victim]) -> dict[str, Record]:
        return {victim.key: self.latest[victim.key] for victim in victims}

    def ended(self, task: Task, record: Record) -> list[Record]:
        """Note a task's record; return the records of what falls with a failed victim."""
        self.latest[task.key] = record
        if task.cell is not None:
            return []
        self.unfinished.discard(task.key)
        return self._release()

    def _release(self) -> list[Record]:
        """Make the cells ready whose victims have ended; return the records of what can't be done."""
        fallen = [x for victim in list(self.victims) for x in self._fall(victim)]
        for key, cells in list(self.waiting.items()):
            sources = (key, *(victim.key for victim in cells[0].triggers))
            if self.unfinished.isdisjoint(sources):
                del self.waiting[key]
                failed = self._failed(sources)
                if failed is None:
                    self.ready[key] = cells
                else:
                    reason = f"its victim failed: {failed}"
                    fallen += [failure(Task(cell.victim, cell), "error", reason) for cell in cells]
        return fallen

    def _fall(self, victim: Victim) -> list[Record]:
        """Give up a victim whose clean model has failed."""
        keys = [source.key for source in _sources(victim)]
        failed = self._failed(keys) if self.unfinished.isdisjoint(keys) else None
        if failed is None:
            return []
        self.victims.remove(victim)
        self.unfinished.discard(victim.key)
        self.latest[victim.key] = failure(Task(victim), "error", f"its clean model failed: {failed}")
        return [self.latest[victim.key]]

    def _failed(self, keys: Iterable[str]) -> str | None:
        """Return the error of the first victim that failed, None where all are well."""
        return next((self.latest[key]["error"] for key in keys if self.latest[key]["status"] != "ok"), None)


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
        "finished": datetime.now(UTC).isoformat(),
    }
