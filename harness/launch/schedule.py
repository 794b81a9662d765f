"""Which task is next: victims first, a victim's cells as soon as it is ready, no idle worker in between."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
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
        needed = [victim for key, victim in study.victims().items() if key in self.waiting]
        self.victims: deque[Victim] = deque(v for v in needed if wanted(v.key, latest, mode))
        self.total_victims = len(self.victims)
        self.total_cells = sum(map(len, self.waiting.values()))
        self._work = Counter(cell.defense.name for cells in self.waiting.values() for cell in cells)
        training = {victim.key for victim in self.victims}
        self.fallen = [x for v in needed if v.key not in training for x in self._release(v.key)]
        """Records of cells whose victim had failed before."""

    def open_work(self) -> Counter[str]:
        """Return how many tasks of each kind there are: ``victim``, or the name of a defense."""
        return self._work + Counter(victim=self.total_victims)

    def next(self, held: str | None) -> Task | None:
        """Return the next task for a worker that holds the victim ``held``, or None for now."""
        if self.victims:
            return Task(self.victims.popleft(), timeout=self.timeout)
        if not self.ready:
            return None
        key = held if held in self.ready else max(self.ready, key=lambda key: len(self.ready[key]))
        cell = self.ready[key].popleft()
        if not self.ready[key]:
            del self.ready[key]
        return Task(cell.victim, cell, self.latest[key], self.timeout)

    def ended(self, task: Task, record: Record) -> list[Record]:
        """Note a task's record; return the records of the cells that fall with a failed victim."""
        self.latest[task.key] = record
        return self._release(task.key) if task.cell is None else []

    def _release(self, victim_key: str) -> list[Record]:
        record, cells = self.latest[victim_key], self.waiting.pop(victim_key)
        if record["status"] == "ok":
            self.ready[victim_key] = cells
            return []
        reason = f"its victim failed: {record['error']}"
        fallen = [failure(Task(cell.victim, cell), "error", reason) for cell in cells]
        self.latest.update({record["key"]: record for record in fallen})
        return fallen


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
