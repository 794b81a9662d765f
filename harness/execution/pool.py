"""The local launcher: a supervised pool of long-lived worker processes, one per slot.

A worker that dies, by a segmentation fault or by the kernel, costs its own task, which gets a
``crash`` record; a task past its time gets a ``timeout`` record. Either way a new worker takes the
slot. A task that ran out of memory is tried once more, alone on its device. The supervisor alone
writes records, so that a task has one, whatever became of its worker.
"""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from multiprocessing.connection import wait

from harness.errors import UserError
from harness.execution.schedule import Schedule, failure
from harness.execution.signals import InterruptGuard
from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.execution.worker import StoreFailed
from harness.execution.worker_process import WorkerProcess
from harness.store.record_files import Record
from harness.store.store import Store, StoreError

SETTLE = 1.0
"""Seconds before a death is told: who ends a whole job or machine ends the supervisor too."""
STILLBORN = 3
"""So many workers may die in a row before they start a task: then the run ends, and no task is to
blame."""
Started = Callable[[Task, Slot], None]
Ended = Callable[[Record], None]


def run_local(
    schedule: Schedule, store: Store, slots: list[Slot], started: Started, ended: Ended
) -> None:
    """Run every task of a schedule; ``started`` and ``ended`` are told as they come.

    Raises:
        UserError: records can't be written (a full disk); what is finished is kept.
        Interrupted: by Ctrl-C or SIGTERM; likewise.
    """
    seats = [WorkerProcess(slot, store.folder) for slot in slots]
    with InterruptGuard() as stop:
        pool = _Pool(schedule, store, seats, (started, ended), stop)
        try:
            pool.run()
        except StoreError as error:
            raise _unwritable(str(error)) from error
        finally:
            for seat in seats:
                seat.stop()


def _unwritable(reason: str) -> UserError:
    return UserError(
        f"records can't be written: {reason}; what is finished is kept: mend that and run again"
    )


class _Pool:
    def __init__(
        self,
        schedule: Schedule,
        store: Store,
        seats: list[WorkerProcess],
        told: tuple[Started, Ended],
        stop: InterruptGuard,
    ) -> None:
        self.schedule = schedule
        self.store = store
        self.seats = seats
        self.started, self.ended = told
        self.stop = stop
        self.short: defaultdict[str, deque[Task]] = defaultdict(deque)
        """By device: tasks that ran out of memory, to be tried alone."""
        self.alone: set[str] = set()
        """Keys of tasks that were or are tried alone."""
        self.stillborn = 0
        """Workers in a row that died before they had started their task."""

    def run(self) -> None:
        for record in self.schedule.fallen:
            self.settle(record)
        while self.fill():
            wait(
                [self.stop.fileno(), *(x for seat in self.seats for x in seat.signs())], timeout=1.0
            )
            self.stop.check()
            for seat in self.seats:
                self.attend(seat)

    def fill(self) -> bool:
        """Give every idle worker a task; tell whether any is at work."""
        for seat in self.seats:
            if seat.task is None and (task := self.next(seat)) is not None:
                seat.give(task)
                self.started(task, seat.slot)
        return any(seat.task is not None for seat in self.seats)

    def next(self, seat: WorkerProcess) -> Task | None:
        """Return what an idle seat may start now."""
        device = seat.slot.device
        mates = [other for other in self.seats if other.slot.device == device]
        running = [other.task for other in mates if other.task is not None]
        if any(task.key in self.alone for task in running) or (running and self.short[device]):
            return None
        if not self.short[device]:
            return self.schedule.next(seat.held, cohorts=seat.slot.takes_cohorts)
        for mate in mates:
            mate.stop()
        task = self.short[device].popleft()
        self.alone.add(task.key)
        return task

    def attend(self, seat: WorkerProcess) -> None:
        """Take a worker's answer, or see to a worker that died or hangs."""
        answer, task = seat.answer(), seat.task
        if isinstance(answer, StoreFailed):
            raise _unwritable(answer.reason)
        if answer is not None and task is not None:
            self.answered(seat, task, answer)
        elif seat.ready and seat.overdue() and task is not None:
            seat.stop()
            seat.task = None
            self.failed(task, "timeout", f"no end after {task.limit:g} s")
        elif seat.dead() or seat.overdue():
            self.died(seat, task)

    def answered(self, seat: WorkerProcess, task: Task, records: list[Record]) -> None:
        seat.task, self.stillborn = None, 0
        if not records:
            seat.stop()
            self.schedule.apart(task)
            return
        for each, record in zip(task.each(), records, strict=True):
            self.recorded(seat, each, record)

    def recorded(self, seat: WorkerProcess, task: Task, record: Record) -> None:
        if record["status"] in {"oom", "crash"}:
            seat.stop()  # its memory is in pieces, or its device in an unknown state
        if record["status"] == "oom" and task.key not in self.alone:
            self.short[seat.slot.device].append(task)
        else:
            self.note(task, record)

    def died(self, seat: WorkerProcess, task: Task | None) -> None:
        born, how = seat.ready, seat.stop()
        time.sleep(SETTLE)
        self.stop.check()
        seat.task = None
        if task is not None and not born:
            self.start_again(seat, task, how)
        elif task is not None:
            self.failed(task, "crash", f"the worker process died ({how})")

    def failed(self, task: Task, status: str, error: str) -> None:
        if task.mates:
            self.schedule.apart(task)
        else:
            self.note(task, failure(task, status, error))

    def start_again(self, seat: WorkerProcess, task: Task, how: str) -> None:
        """Give the task to a new worker: that the last one never came to it is not the task's fault."""
        self.stillborn += 1
        if self.stillborn > STILLBORN:
            raise UserError(
                f"workers on {seat.slot.device} die before they start ({how}); see above"
            )
        seat.give(task)

    def note(self, task: Task, record: Record) -> None:
        self.settle(record)
        for fallen in self.schedule.ended(task, record):
            self.settle(fallen)

    def settle(self, record: Record) -> None:
        self.store.append(record)
        self.ended(record)
