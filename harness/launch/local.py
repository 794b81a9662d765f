"""The local launcher: a supervised pool of long-lived worker processes, one per slot.

A worker that dies, by a segmentation fault or by the kernel, costs its own task, which gets a ``crash``
record; a task past its time gets a ``timeout`` record. Either way a new worker takes the slot.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess

from harness.errors import UserError
from harness.launch.schedule import Schedule, failure
from harness.launch.task import Task
from harness.launch.worker import Slot, StoreFailed, serve
from harness.store import Record, Store

GRACE = 5.0
"""Seconds past a task's deadline before its worker is killed: most methods end by themselves."""
Report = Callable[[Record], None]


@dataclass
class _Worker:
    process: SpawnProcess
    pipe: Connection
    slot: Slot
    task: Task | None = None
    started: float = 0.0
    held: str | None = None

    def give(self, task: Task) -> None:
        self.task, self.started, self.held = task, time.monotonic(), task.victim.key
        self.pipe.send(task)

    def overdue(self) -> bool:
        if self.task is None or self.task.timeout is None:
            return False
        return time.monotonic() - self.started > self.task.timeout + GRACE


def run_local(
    schedule: Schedule, store: Store, slots: list[Slot], started: Callable[[Task], None], ended: Report
) -> None:
    """Run every task of a schedule; ``started`` and ``ended`` are told as they come.

    Raises:
        UserError: records can't be written (a full disk); what is finished is kept.
    """
    pool = _Pool(schedule, store, started, ended)
    pool.settle(schedule.fallen)
    workers = [_start(store, slot) for slot in slots[: max(1, schedule.total_victims + schedule.total_cells)]]
    try:
        while pool.busy(workers):
            ready = wait([x for w in workers for x in (w.pipe, w.process.sentinel)], timeout=1.0)
            for i, worker in enumerate(workers):
                if worker.pipe in ready or worker.process.sentinel in ready or worker.overdue():
                    workers[i] = pool.attend(worker)
        for worker in workers:
            worker.pipe.send(None)
        for worker in workers:
            worker.process.join(GRACE)
    finally:
        for worker in workers:
            worker.process.kill()


def _start(store: Store, slot: Slot) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, store.folder, slot), daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours, slot)


@dataclass
class _Pool:
    schedule: Schedule
    store: Store
    started: Callable[[Task], None]
    ended: Report

    def busy(self, workers: list[_Worker]) -> bool:
        """Give every idle worker a task; tell whether any is at work."""
        for worker in workers:
            if worker.task is None and (task := self.schedule.next(worker.held)) is not None:
                worker.give(task)
                self.started(task)
        return any(worker.task is not None for worker in workers)

    def attend(self, worker: _Worker) -> _Worker:
        """Take a worker's answer, or replace a worker that died or hangs."""
        if worker.pipe.poll():
            try:
                return self._answered(worker, worker.pipe.recv())
            except EOFError:
                pass  # it died: below
        if worker.overdue():
            worker.process.kill()
        worker.process.join()
        if worker.task is not None:
            self.settle([_obituary(worker, worker.task)], worker.task)
        return _start(self.store, worker.slot)

    def _answered(self, worker: _Worker, answer: Record | StoreFailed) -> _Worker:
        if isinstance(answer, StoreFailed):
            raise UserError(f"records can't be written: {answer.reason}; mend that and run again")
        assert worker.task is not None
        task, worker.task = worker.task, None
        self._note(task, answer)
        return worker

    def settle(self, records: list[Record], task: Task | None = None) -> None:
        """Write records on behalf of tasks that could not."""
        for record in records:
            self.store.append(record)
            if task is None:
                self.ended(record)
            else:
                self._note(task, record)

    def _note(self, task: Task, record: Record) -> None:
        self.ended(record)
        self.settle(self.schedule.ended(task, record))


def _obituary(worker: _Worker, task: Task) -> Record:
    if worker.overdue():
        return failure(task, "timeout", f"no end after {task.timeout:g} s")
    code = worker.process.exitcode
    how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
    return failure(task, "crash", f"the worker process died ({how})")
