"""A slot of the local pool, as its supervisor sees it: starts, feeds and stops a worker process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from harness.execution.forkserver import Inherited, context, exit_text
from harness.execution.slots import Slot
from harness.execution.task import LastRecord, StoreFailed, Task, WorkerReady
from harness.store.record import TaskRecord

TIMEOUT_GRACE = 5.0
"""Seconds past a task's time limit before its worker is killed: most methods end by themselves."""
START_LIMIT = 120.0
"""Seconds that a worker may take to get ready: a disk may be slow, or a device not yet free."""
JOIN_LIMIT = 10.0
"""Seconds until a process that was killed has ended, or is left behind: inside a driver that hangs
it can't end."""
Serve = Callable[[Connection, Path, Slot, Inherited], None]
"""What a worker process runs, given its pipe, the store's folder, its slot and what it
inherits."""


class WorkerProcess:
    """A slot. A process is started with its first task, and again after it was stopped or died."""

    def __init__(self, slot: Slot, store_folder: Path, serve: Serve) -> None:
        self.slot = slot
        self.task: Task | None = None
        """The task that the worker is busy with."""
        self.current_victim: str | None = None
        """Key of the victim that the worker keeps on its device."""
        self.current_model: str | None = None
        """Key of the cell that the worker ran or probed last."""
        self.ready = False
        """Whether the process has started its first task."""
        self._store_folder = store_folder
        self._serve = serve
        self._process: ForkServerProcess | None = None
        self._pipe: Connection | None = None
        self._since = 0.0

    def assign(self, task: Task) -> None:
        """Send a task to the worker."""
        if self._process is None or not self._process.is_alive():
            self.stop()
            self._start()
        self.task, self._since = task, time.monotonic()
        self.current_victim, self.current_model = task.victim.key, task.model_key
        assert self._pipe is not None
        with suppress(ConnectionError):  # it has just died, which its sentinel will report
            self._pipe.send(task)

    def _start(self) -> None:
        self._pipe, worker_end = context().Pipe()
        self._process = context().Process(
            target=self._serve, args=(worker_end, self._store_folder, self.slot, Inherited.here())
        )
        self._process.start()
        worker_end.close()
        self.ready = False

    def waitables(self) -> list[Any]:
        """Return what becomes readable when the worker has sent something or has died."""
        return [] if self._process is None else [self._pipe, self._process.sentinel]

    def is_overdue(self) -> bool:
        """Tell whether the task has exceeded its time limit and the grace period."""
        if self.task is None:
            return False
        limit = self.task.limit + TIMEOUT_GRACE if self.ready else START_LIMIT
        return time.monotonic() - self._since > limit

    def is_dead(self) -> bool:
        """Tell whether there was a process that has ended."""
        return self._process is not None and not self._process.is_alive()

    def poll(self) -> TaskRecord | StoreFailed | None:
        """Return the result of the worker's task; None if there is none (it is busy or dead)."""
        if self._pipe is None:
            return None
        if self.is_dead():
            self._kill()  # a child that still held the pipe would block on a partial message
        try:
            message: TaskRecord | LastRecord | StoreFailed | WorkerReady | None = (
                self._pipe.recv() if self._pipe.poll() else None
            )
        except (EOFError, ConnectionError):
            return None
        if isinstance(message, WorkerReady):
            self.ready, self._since = True, time.monotonic()
            return None
        if isinstance(message, LastRecord):
            self.stop()
            return message.record
        return message

    def stop(self) -> str:
        """End the process and its children, if there is one; return how it ended."""
        if self._process is None or self._pipe is None:
            return ""
        self._kill()
        self._process.join(JOIN_LIMIT)
        self._pipe.close()
        code = self._process.exitcode
        if code is None:  # nothing waits for it any more, this program's end included
            multiprocessing.process._children.discard(self._process)  # type: ignore[attr-defined]
        self._process = self._pipe = self.current_victim = self.current_model = None
        if code is None:
            return f"it still runs {JOIN_LIMIT:g} s after it was killed"
        return exit_text(code)

    def _kill(self) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # one that has no process group of its own yet
