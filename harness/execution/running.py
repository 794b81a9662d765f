"""What runs now, as other processes see it: every run keeps a file of its tasks and holds its lock.

The system drops the lock of a process that has ended, however it ended, so that a file without a
lock counts for nothing. Where the file system knows no locks, or can't be written, nothing is seen.
"""

from __future__ import annotations

import fcntl
import os
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import msgspec

from harness.errors import UserError
from harness.execution.readable import clock
from harness.execution.task_log import log_path
from harness.plan.study import Study
from harness.store.record import TaskRecord, safe_text
from harness.store.record_files import check_regular
from harness.store.store import Store

if TYPE_CHECKING:
    from harness.execution.slots import Slot
    from harness.execution.task import RunListener, Task

AT_ONCE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
"""How a file is opened that may be a pipe or a link."""
LONGEST_FILE = 2**20
"""Bytes of a run's file that are read."""
TAIL = 4000
"""Bytes at the end of a log in which its last line is looked for."""
LONGEST_LINE = 120
"""Characters of a last line that are shown."""


class RunningTask(NamedTuple):
    """A task that runs now."""

    key: str
    name: str
    worker: str
    """Where it runs: a slot and its machine."""
    seconds: float
    """Since it was started, by the clocks of the two machines."""
    last: str
    """The last line of its log; empty if there is none."""

    def text(self) -> str:
        """Return it as one line."""
        head = f"running {clock(self.seconds)} on {self.worker}: {self.name}"
        return f"{head}: {self.last}" if self.last else head


class _Started(msgspec.Struct, frozen=True):
    key: str
    worker: str
    began: float
    """Seconds since 1970."""


class RunningFile:
    """Notifies another listener, and writes which tasks run."""

    def __init__(self, listener: RunListener, descriptor: int) -> None:
        self.listener = listener
        self._descriptor = descriptor
        self._started: dict[str, _Started] = {}

    def on_start(self, task: Task, slot: Slot) -> None:
        """Notify the listener, and write that the task runs."""
        worker = f"{slot.label} of {socket.gethostname()}"
        self._started[task.key] = _Started(task.key, worker, time.time())
        self._write()
        self.listener.on_start(task, slot)

    def on_set_aside(self, task: Task) -> None:
        """Notify the listener, and write that the task does not run."""
        self._remove(task.key)
        self.listener.on_set_aside(task)

    def on_finish(self, record: TaskRecord) -> None:
        """Notify the listener, and write that the task does not run."""
        self._remove(record.key)
        self.listener.on_finish(record)

    def on_give_up(self, reason: str) -> None:
        """Notify the listener."""
        self.listener.on_give_up(reason)

    def _remove(self, key: str) -> None:
        if self._started.pop(key, None) is not None:
            self._write()

    def _write(self) -> None:
        text = msgspec.json.encode(list(self._started.values()))
        with suppress(OSError):  # a full disk is reported where the record is saved
            os.pwrite(self._descriptor, text, 0)
            os.ftruncate(self._descriptor, len(text))
            os.fsync(self._descriptor)


@contextmanager
def shown_to_others(listener: RunListener, store: Store) -> Iterator[RunListener]:
    """Yield a listener that notifies ``listener``, and lets others see which tasks run."""
    try:
        path, descriptor = _locked_file(_folder(store))
    except OSError:
        yield listener
        return
    try:
        yield RunningFile(listener, descriptor)
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)


def _locked_file(folder: Path) -> tuple[Path, int]:
    """Make the file of a run, which is never seen without its lock; remove those without."""
    folder.mkdir(parents=True, exist_ok=True)
    for ended in folder.glob("*.json"):
        if _tasks_of(ended) is None:
            ended.unlink(missing_ok=True)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    unseen = folder / f".{name}"
    descriptor = os.open(unseen, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return unseen.rename(folder / f"{name}.json"), descriptor
    except OSError:
        unseen.unlink()
        os.close(descriptor)
        raise


def running_tasks(study: Study, store: Store) -> list[RunningTask]:
    """Return the tasks of a study that run now, on any machine that shares the store's disk."""
    names = {key: f"victim {victim.name}" for key, victim in study.victims().items()}
    names |= {cell.key: cell.name for cell in study.cells}
    names |= {run.key: run.name for run in study.probe_runs}
    started = [x for path in _folder(store).glob("*.json") for x in _tasks_of(path) or ()]
    found = [
        RunningTask(
            task.key,
            names[task.key],
            _one_line(task.worker),
            max(0.0, time.time() - task.began),
            _last_line(log_path(store, task.key), task.began),
        )
        for task in started
        if task.key in names
    ]
    return sorted(found, key=lambda task: -task.seconds)


def _folder(store: Store) -> Path:
    return store.folder / "running"


def _tasks_of(path: Path) -> list[_Started] | None:
    """Return the tasks of a run; None if it has ended."""
    try:
        with os.fdopen(os.open(path, AT_ONCE), "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return msgspec.json.decode(file.read(LONGEST_FILE), type=list[_Started])
    except (OSError, msgspec.MsgspecError):  # not for this user, or being written
        return []
    return None


def _last_line(log: Path, began: float) -> str:
    """Return the last line of a log that is not older than its task."""
    try:
        check_regular(log)
        with log.open("rb") as file:
            if os.fstat(file.fileno()).st_mtime < began - 1:
                return ""
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
            lines = file.read(TAIL).decode(errors="replace").splitlines()
    except (OSError, UserError):
        return ""
    return next((line for x in reversed(lines) if (line := _one_line(x))), "")


def _one_line(text: str) -> str:
    """Return a text that a terminal shows as a line of it."""
    shown = "".join(x for x in click.unstyle(text) if x.isprintable())
    return safe_text(shown.strip(), LONGEST_LINE)
