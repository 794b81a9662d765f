"""Packs the records of a study into one parquet file, which is read like the files it replaces."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from harness.plan.keys import slug
from harness.store.record_files import RecordLine, check_keys, read_lines, write_packed
from harness.store.store import Store, atomic_path

IDLE = 3600.0
"""Seconds without a change after which a file of another machine counts as closed."""


class CompactResult(NamedTuple):
    """What was packed."""

    records: int
    files: int
    """How many files they were in."""
    path: Path | None
    """The new file; None if there was nothing to pack."""


def compact(store: Store, name: str, keys: set[str]) -> CompactResult:
    """Move the records with some keys into one parquet file; others stay in JSON lines.

    Files that a run may still write to are left alone. The new file is complete before an old one
    is deleted, so that a reader, or another compaction, finds every record at any time.

    Args:
        store: its records are moved.
        name: of the study; the new file's name begins with it.
        keys: of the study's cells and victims.

    Raises:
        UserError: lines are damaged, or a record's key is not that of its spec.
    """
    prefix = slug(name, keep="_")
    closed = [path for path in store.record_files() if _is_closed(path)]
    candidates = [
        path for path in closed if path.suffix == ".jsonl" or path.name.startswith(f"{prefix}-")
    ]
    sizes = {path: path.stat().st_size for path in candidates if _has_record(path, keys)}
    if all(path.suffix == ".parquet" for path in sizes) and len(sizes) < 2:
        return CompactResult(0, 0, None)
    heads = (line for path in sizes for line in read_lines(path, scalars=False))
    check_keys((line for line in heads if line.key in keys), store.records_folder)
    target = store.records_folder / f"{prefix}-{uuid.uuid4().hex[:8]}.parquet"
    with atomic_path(target) as temporary:
        count = write_packed((line for line in _lines(sizes) if line.key in keys), temporary)
    write_lines(store, "rest", (line for line in _lines(sizes) if line.key not in keys))
    for path, size in sizes.items():
        if path.stat().st_size == size:
            path.unlink()
    return CompactResult(count, len(sizes), target)


def _has_record(path: Path, keys: set[str]) -> bool:
    return any(line.key in keys for line in read_lines(path, scalars=False))


def _lines(paths: Iterable[Path]) -> Iterator[RecordLine]:
    return distinct(line for path in paths for line in read_lines(path))


def distinct(lines: Iterable[RecordLine], known: Iterable[RecordLine] = ()) -> Iterator[RecordLine]:
    """Yield each line once, but for those that equal a known one."""
    seen = {_identity(line) for line in known}
    for line in lines:
        identity = _identity(line)
        if identity not in seen:
            seen.add(identity)
            yield line


def _identity(line: RecordLine) -> tuple[str, str, int]:
    return line.key, line.finished, hash(line)


def write_lines(store: Store, name: str, lines: Iterator[RecordLine]) -> int:
    """Write records to a new file of JSON lines, atomically, and return how many.

    Without any record, no file is written.
    """
    first = next(lines, None)
    if first is None:
        return 0
    store.records_folder.mkdir(parents=True, exist_ok=True)
    target, count = store.records_folder / f"{name}-{uuid.uuid4().hex[:8]}.jsonl", 0
    with atomic_path(target) as temporary, temporary.open("wb") as file:
        for line in chain([first], lines):
            file.write(line.encoded() + b"\n")
            count += 1
    return count


def _is_closed(path: Path) -> bool:
    """Tell whether no process writes to a record file any more."""
    writer = path.stem.rsplit("-", 2)
    if len(writer) < 3:
        return True  # written at once
    host, pid, _ = writer
    if host != socket.gethostname():
        return time.time() - path.stat().st_mtime > IDLE
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError, ValueError):
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()
