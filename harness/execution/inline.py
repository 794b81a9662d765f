"""The inline launcher: every task in this process, for tests and for debugging a method."""

from __future__ import annotations

from harness.execution.pool import Ended, Started
from harness.execution.run_task import run_task
from harness.execution.schedule import Schedule
from harness.execution.slots import Slot
from harness.store.store import Store
from harness.training.device import device_named, set_up
from harness.training.session import WorkerSession


def run_inline(
    schedule: Schedule, store: Store, slots: list[Slot], started: Started, ended: Ended
) -> None:
    """Run every task of a schedule in order, on the first slot; arguments as for the local launcher."""
    set_up(slots[0].threads)
    bench = WorkerSession(store, device_named(slots[0].device))
    finished, held = schedule.fallen, None
    while True:
        for record in finished:
            store.append(record)
            ended(record)
        task = schedule.next(held, cohorts=slots[0].takes_cohorts)
        if task is None:
            return
        started(task, slots[0])
        records, held, finished = run_task(task, bench), task.victim.key, []
        if not records:
            schedule.apart(task)
            continue
        for each, record in zip(task.each(), records, strict=True):
            finished += [record, *schedule.ended(each, record)]
