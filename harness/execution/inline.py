"""The inline launcher: runs every task in this process, for tests and for debugging a method."""

from __future__ import annotations

import gc
import pdb
import signal
import sys
from collections.abc import Callable

from harness.errors import UserError
from harness.execution.alarm import alarm
from harness.execution.failures import failure_of
from harness.execution.readable import readable_traceback
from harness.execution.run_task import run_task
from harness.execution.schedule import Schedule
from harness.execution.slots import Slot
from harness.execution.task import RunListener
from harness.store.store import Store
from harness.training.device import device_fault, select_device, set_up_torch
from harness.training.session import WorkerSession


def run_inline(
    schedule: Schedule, store: Store, slot: Slot, listener: RunListener, *, debug: bool = False
) -> None:
    """Run every task of a schedule in order, on the device and threads of a slot.

    ``debug``: whether a failure opens the debugger where it was raised, for which the user's own
    defenses run in this process as well.

    Raises:
        UserError: the GPU has failed.
    """
    set_up_torch(slot.threads)
    store = Store(store.folder.absolute())
    session = WorkerSession(store, select_device(slot.device), apart=not debug)
    gc.freeze()  # what lives now is not searched for garbage before every task
    try:
        _run_all(schedule, session, slot, listener, _debug if debug else _show)
    finally:
        gc.unfreeze()


def _run_all(
    schedule: Schedule,
    session: WorkerSession,
    slot: Slot,
    listener: RunListener,
    on_error: Callable[[BaseException], object],
) -> None:
    finished = schedule.dependency_failures
    last: tuple[str | None, str | None] = (None, None)
    while True:
        for record in finished:
            session.store.append(record)
            listener.on_finish(record)
        if fault := device_fault(session.device):
            kept = "what is finished is kept: run again, without --inline"
            raise UserError(f"{session.device} has failed in this process: {fault}; {kept}")
        task = schedule.next(*last)
        if task is None:
            return
        listener.on_start(task, slot)
        with alarm(task.limit):
            record = run_task(task, session, on_error)
        last = (task.victim.key, task.model_key)
        finished = [record, *schedule.finish(task, record)]


def _show(error: BaseException) -> None:
    """Print the traceback of a failure, from the method's own call on."""
    print(readable_traceback(failure_of(error).traceback), file=sys.stderr)  # noqa: T201


def _debug(error: BaseException) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    _show(error)
    pdb.post_mortem(error.__traceback__)
