"""The inline launcher: runs every task in this process, for tests and for debugging a method."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from harness.execution.failures import OverdueAlarm
from harness.execution.run_task import run_task
from harness.execution.schedule import Schedule
from harness.execution.slots import Slot
from harness.execution.task import RunListener
from harness.execution.worker_process import TIMEOUT_GRACE
from harness.store.store import Store
from harness.training.device import select_device, set_up_torch
from harness.training.session import WorkerSession


def run_inline(schedule: Schedule, store: Store, slot: Slot, listener: RunListener) -> None:
    """Run every task of a schedule in order, on the device and threads of a slot."""
    set_up_torch(slot.threads)
    store = Store(store.folder.absolute())
    session = WorkerSession(store, select_device(slot.device))
    finished, current_victim = schedule.dependency_failures, None
    while True:
        for record in finished:
            store.append(record)
            listener.on_finish(record)
        task = schedule.next(current_victim)
        if task is None:
            return
        listener.on_start(task, slot)
        with alarm(task.limit + TIMEOUT_GRACE):
            record = run_task(task, session)
        current_victim, finished = task.victim.key, [record, *schedule.finish(task, record)]


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Raise OverdueAlarm in the block after a number of seconds, and every second from then on.

    Only in the main thread of a process; a call into C code is interrupted when it returns.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OverdueAlarm(f"no end after {seconds - TIMEOUT_GRACE:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
