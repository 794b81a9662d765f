"""What a worker process runs: takes tasks from its pipe, and sends back records."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path

from harness.execution.forkserver import Inherited, end_with_parent
from harness.execution.slots import Slot
from harness.execution.task import LastRecord, StoreFailed, WorkerReady
from harness.store.store import Store, StoreError


def serve(pipe: Connection, store_folder: Path, slot: Slot, inherited: Inherited) -> None:
    """Run tasks until the pipe says None or closes. Only the supervisor ends a worker."""
    # a process group of its own: its children end with it, and Ctrl-C does not reach it
    os.setsid()
    inherited.take()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # the log of a worker that dies is whole
    signal.signal(signal.SIGTERM, lambda *_: None)  # a handler, which children do not inherit
    threading.Thread(target=end_with_parent, daemon=True).start()
    from harness.execution.run_task import run_task
    from harness.execution.task_log import log_path, printed_to
    from harness.training.device import device_fault, select_device, set_up_torch
    from harness.training.session import WorkerSession

    set_up_torch(slot.threads)
    device = select_device(slot.device)
    if fault := device_fault(device):
        raise SystemExit(fault)
    session = WorkerSession(Store(store_folder.absolute()), device)
    gc.collect()
    gc.freeze()  # what lives now is not searched for garbage before every task
    pipe.send(WorkerReady())
    while (task := pipe.recv()) is not None:
        try:
            with printed_to(log_path(session.store, task.key)):
                record = run_task(task, session)
            pipe.send(LastRecord(record) if session.spoiled else record)
        except StoreError as error:
            pipe.send(StoreFailed(str(error)))
