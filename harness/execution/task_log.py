"""What a task prints: one file per key beside the records, kept until the task runs again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.store.store import Store

LONGEST = 1_000_000
"""Bytes of a log that are kept; the middle is cut."""


def log_path(store: Store, key: str) -> Path:
    """Return where the log of a victim or cell is, if it printed anything."""
    return store.folder / "logs" / f"{key}.txt"


@contextmanager
def printed_to(path: Path) -> Iterator[None]:
    """Send what this process and its children print to a file, which exists if there is any."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("wb")
    except OSError:  # a full disk is reported where the record is saved
        yield
        return
    _flush()
    kept = {number: os.dup(number) for number in (1, 2)}
    with file:
        for number in kept:
            os.dup2(file.fileno(), number)
    try:
        yield
    finally:
        _flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        with suppress(OSError):
            _shorten(path)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _shorten(path: Path) -> None:
    size = path.stat().st_size
    if size == 0:
        path.unlink()
    elif size > LONGEST:
        with path.open("rb") as file:
            head = file.read(LONGEST // 2)
            file.seek(size - LONGEST // 2)
            tail = file.read()
        path.write_bytes(head + f"\n[... {size - LONGEST:,} bytes ...]\n".encode() + tail)
