"""Notices that a study is already being run on the same store."""

from __future__ import annotations

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from harness.store.store import Store


@contextmanager
def run_lock(study: str, store: Store) -> Iterator[str]:
    """Hold the lock of a study on a store; yield who holds it already, or "" if nobody does.

    The system drops the lock of a process that has ended, however it ended, so that none is stale.
    Where the file system knows no locks, or can't be written, nobody is found. SLURM jobs do not
    take it: each runs a part of its own.
    """
    name = hashlib.sha256(os.path.realpath(study).encode("utf-8", "replace")).hexdigest()[:16]
    path = store.folder / f".running-{name}"
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError:
        yield ""
        return
    try:
        yield _take(descriptor)
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> str:
    """Take the lock and write who has it; return who else does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
    except OSError:  # no locks here
        return ""
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
    return ""
