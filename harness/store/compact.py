"""Packs the records of a study into one parquet file, which every reader reads like the files it replaces."""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from harness.plan.study import Study
from harness.store.record_files import RecordLine, read_lines, write_packed
from harness.store.store import Store, part_of

IDLE = 3600.0
"""Seconds after which a file that another machine wrote is taken for finished."""


class CompactResult(NamedTuple):
    """What was packed."""

    records: int
    files: int
    """How many files they had lain in."""
    path: Path | None
    """None when there was nothing to pack."""


def compact(study: Study, store: Store) -> CompactResult:
    """Move the study's records into one parquet file; those of other studies stay in JSON lines.

    Files that a run may still write to are left alone. The new file is whole before an old one
    goes, so that a reader, or another compaction, finds every record at any time.
    """
    keys = {cell.key for cell in study.cells} | set(study.victims())
    name = re.sub(r"\W+", "_", study.name)
    closed = [path for path in store.record_files() if _finished(path)]
    candidates = [
        path for path in closed if path.suffix == ".jsonl" or path.name.startswith(f"{name}-")
    ]
    sizes = {path: path.stat().st_size for path in candidates if _holds(path, keys)}
    if all(path.suffix == ".parquet" for path in sizes) and len(sizes) < 2:
        return CompactResult(0, 0, None)
    target = store.records_folder / f"{name}-{uuid.uuid4().hex[:8]}.parquet"
    with part_of(target) as part:
        count = write_packed((line for line in _lines(sizes) if line.key in keys), part)
    write_lines(store, "rest", (line for line in _lines(sizes) if line.key not in keys))
    for path, size in sizes.items():
        if path.stat().st_size == size:
            path.unlink()
    return CompactResult(count, len(sizes), target)


def _holds(path: Path, keys: set[str]) -> bool:
    return any(line.key in keys for line in read_lines(path, scalars=False))


def _lines(paths: Iterable[Path]) -> Iterator[RecordLine]:
    return distinct(line for path in paths for line in read_lines(path))


def distinct(lines: Iterable[RecordLine], known: Iterable[RecordLine] = ()) -> Iterator[RecordLine]:
    """Yield the lines that are not among the known ones, each once."""
    seen = {(line.key, line.finished, hash(line)) for line in known}
    for line in lines:
        mark = (line.key, line.finished, hash(line))
        if mark not in seen:
            seen.add(mark)
            yield line


def write_lines(store: Store, name: str, lines: Iterator[RecordLine]) -> int:
    """Write records as a new file of JSON lines, whole or not at all; return how many. No file for none."""
    first = next(lines, None)
    if first is None:
        return 0
    store.records_folder.mkdir(parents=True, exist_ok=True)
    target, count = store.records_folder / f"{name}-{uuid.uuid4().hex[:8]}.jsonl", 0
    with part_of(target) as part, part.open("wb") as file:
        for line in chain([first], lines):
            file.write(line.encoded() + b"\n")
            count += 1
    return count


def _finished(path: Path) -> bool:
    """Tell whether nobody writes to a record file any more."""
    writer = path.stem.rsplit("-", 2)
    if len(writer) < 3:
        return True  # written whole
    host, pid, _ = writer
    if host != socket.gethostname():
        return time.time() - path.stat().st_mtime > IDLE
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return int(pid) == os.getpid()
