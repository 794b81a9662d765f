"""A slot of the local pool, with a worker process in it while there is work."""

from __future__ import annotations

import functools
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.execution.worker import Ready, StoreFailed, serve
from harness.store.record_files import Record

GRACE = 5.0
"""Seconds past a task's deadline before its worker is killed: most methods end by themselves."""
BOOT = 120.0
"""Seconds that a worker may take until it is ready: it may wait for a slow disk, or for its
device."""


class WorkerProcess:
    """One slot. Its process is started with the first task, and anew after it was stopped or died."""

    def __init__(self, slot: Slot, store_folder: Path) -> None:
        self.slot = slot
        self.task: Task | None = None
        self.held: str | None = None
        """Key of the victim that the worker keeps on its device."""
        self._folder = store_folder
        self._process: ForkServerProcess | None = None
        self._pipe: Connection | None = None
        self.ready = False
        """Whether the process has come so far as to start its task."""
        self._since = 0.0

    def give(self, task: Task) -> None:
        """Send a task to the worker."""
        if self._process is None or not self._process.is_alive():
            self.stop()
            self._start()
        self.task, self.held, self._since = task, task.victim.key, time.monotonic()
        assert self._pipe is not None
        with suppress(ConnectionError):  # it died this very moment, which its sentinel will say
            self._pipe.send(task)

    def _start(self) -> None:
        self._pipe, theirs = _context().Pipe()
        self._process = _context().Process(target=serve, args=(theirs, self._folder, self.slot))
        self._process.start()
        theirs.close()
        self.ready = False

    def signs(self) -> list[Any]:
        """Return what becomes readable when there is something to attend to."""
        return [] if self._process is None else [self._pipe, self._process.sentinel]

    def overdue(self) -> bool:
        """Tell whether the task's time has passed, with all grace."""
        if self.task is None or self.task.limit is None:
            return False
        limit = self.task.limit + GRACE if self.ready else BOOT
        return time.monotonic() - self._since > limit

    def dead(self) -> bool:
        """Tell whether there was a process that has ended."""
        return self._process is not None and not self._process.is_alive()

    def answer(self) -> list[Record] | StoreFailed | None:
        """Return what the worker says of its task; None when it says nothing (yet, or for ever)."""
        if self._pipe is None:
            return None
        if self.dead():
            self._kill()  # a child that still held the pipe would keep a broken answer waiting
        try:
            found: list[Record] | StoreFailed | Ready | None = (
                self._pipe.recv() if self._pipe.poll() else None
            )
        except (EOFError, ConnectionError):
            return None
        if isinstance(found, Ready):
            self.ready, self._since = True, time.monotonic()
            return None
        return found

    def stop(self) -> str:
        """End the process and all its children, if there is one; return how it ended."""
        if self._process is None or self._pipe is None:
            return ""
        self._kill()
        self._process.join()
        self._pipe.close()
        code = self._process.exitcode or 0
        self._process, self._pipe, self.held = None, None, None
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def _kill(self) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()  # one that has no group of its own yet


@functools.cache
def _context() -> ForkServerContext:
    """Return where processes come from: a server that has imported torch, so that a slot fills in no time.

    The server knows the same modules as this process, wherever it was started.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["harness.execution.run_task"])
    with _environment(PYTHONSAFEPATH="1", PYTHONPATH=os.pathsep.join(x for x in sys.path if x)):
        forkserver.ensure_running()
    return context


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
