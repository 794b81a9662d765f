"""A worker process: takes tasks from its pipe, keeps data and victim on its device, answers with records."""

from __future__ import annotations

import os
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import parent_process
from pathlib import Path
from typing import NamedTuple

from harness.execution.slots import Slot
from harness.store.store import Store, StoreError


class Ready(NamedTuple):
    """What a worker says before its first task: imports are done, and its device is there."""


class StoreFailed(NamedTuple):
    """What a worker says instead of a record when it could not save a task's artifacts."""

    reason: str


def serve(pipe: Connection, store_folder: Path, slot: Slot) -> None:
    """Run tasks until the pipe says None or closes. The supervisor alone decides what ends a worker."""
    # a group of its own: its children end with it, and a terminal's Ctrl-C does not reach it
    os.setsid()
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, which children do not inherit
    threading.Thread(target=_follow_parent, daemon=True).start()
    from harness.execution.run_task import run_task
    from harness.training.device import device_named, set_up
    from harness.training.session import WorkerSession

    set_up(slot.threads)
    bench = WorkerSession(Store(store_folder), device_named(slot.device))
    pipe.send(Ready())
    while (task := pipe.recv()) is not None:
        try:
            pipe.send(run_task(task, bench))
        except StoreError as error:
            pipe.send(StoreFailed(str(error)))


def _follow_parent() -> None:
    """End this process and its children at once when its supervisor is gone, even by kill -9."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os.killpg(0, signal.SIGKILL)
