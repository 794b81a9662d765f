"""Packs the records of a study into one parquet file, which every reader reads like the files it replaces."""

from __future__ import annotations

import os
import re
import socket
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from harness.plan import Study
from harness.records import Line, read_lines, write_packed
from harness.store import Store, part_of, publish

IDLE = 3600.0
"""Seconds after which a file that another machine wrote is taken for finished."""


class Packed(NamedTuple):
    """What was packed."""

    records: int
    files: int
    """How many files they had lain in."""
    path: Path | None
    """None when there was nothing to pack."""


def compact(study: Study, store: Store) -> Packed:
    """Move the study's records into one parquet file; those of other studies stay in JSON lines.

    Files that a run may still write to are left alone. The new file is whole before an old one goes, so
    that a reader, or another compaction, finds every record at any time.
    """
    keys = {cell.key for cell in study.cells} | set(study.victims())
    name = re.sub(r"\W+", "_", study.name)
    mine: dict[Line, None] = {}
    rest: dict[Line, None] = {}
    sources: dict[Path, int] = {}
    for path in store.record_files():
        if _finished(path) and (path.suffix == ".jsonl" or path.name.startswith(f"{name}-")):
            size, lines = path.stat().st_size, dict.fromkeys(read_lines(path))
            ours = {line: None for line in lines if line.key in keys}
            if ours:
                sources[path] = size
                mine |= ours
                rest |= {line: None for line in lines if line not in ours}
    if not mine or (len(sources) == 1 and next(iter(sources)).suffix == ".parquet"):
        return Packed(0, 0, None)
    target = store.records_folder / f"{name}-{uuid.uuid4().hex[:8]}.parquet"
    with part_of(target) as part:
        write_packed(list(mine), part)
    if rest:
        write_lines(store, "rest", list(rest))
    for path, size in sources.items():
        if path.stat().st_size == size:
            path.unlink()
    return Packed(len(mine), len(sources), target)


def write_lines(store: Store, name: str, lines: list[Line]) -> None:
    """Write records as a new file of JSON lines, whole or not at all."""
    store.records_folder.mkdir(parents=True, exist_ok=True)
    target = store.records_folder / f"{name}-{uuid.uuid4().hex[:8]}.jsonl"
    publish(target, b"".join(line.encoded() + b"\n" for line in lines))


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
