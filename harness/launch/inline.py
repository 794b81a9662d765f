"""The inline launcher: every task in this process, for tests and for debugging a method."""

from __future__ import annotations

from collections.abc import Callable

from harness.bench import Bench, run_task
from harness.launch.schedule import Schedule
from harness.launch.task import Task
from harness.launch.worker import Slot
from harness.runtime import device_named, set_up
from harness.store import Record, Store


def run_inline(
    schedule: Schedule,
    store: Store,
    slots: list[Slot],
    started: Callable[[Task], None],
    ended: Callable[[Record], None],
) -> None:
    """Run every task of a schedule in order, on the first slot; arguments as for the local launcher."""
    set_up(slots[0].threads)
    bench = Bench(store, device_named(slots[0].device))
    fallen, held = schedule.fallen, None
    while True:
        for record in fallen:
            store.append(record)
            ended(record)
        task = schedule.next(held)
        if task is None:
            return
        started(task)
        record = run_task(task, bench)
        held = task.victim.key
        ended(record)
        fallen = schedule.ended(task, record)
