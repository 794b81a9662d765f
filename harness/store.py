"""The only state: append-only records and content-addressed artifacts, safe against crashes and on NFS.

``records/`` holds JSON lines, one file per writing process, so that no two processes write to one file;
``artifacts/`` holds safetensors files named by the sha256 of their content. A line is whole or, if its
writer was killed in the act, the broken last line of its file, which readers leave out.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import json
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from harness.errors import UserError

Record = dict[str, Any]
Arrays = Mapping[str, np.ndarray[Any, Any]]


class Store:
    """Records and artifacts below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records_folder = folder / "records"
        self.artifacts_folder = folder / "artifacts"
        self._own: Path | None = None

    def append(self, record: Record) -> None:
        """Write a record to disk, whole or not at all.

        Raises:
            OSError: the disk is full or gone; what was written of the line is taken back.
        """
        line = (json.dumps(record, sort_keys=True, allow_nan=False) + "\n").encode()
        with self._own_file().open("ab", buffering=0) as file:
            start = file.tell()
            try:
                if file.write(line) != len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), file.name)
                os.fsync(file.fileno())
            except OSError:
                file.truncate(start)
                raise

    def _own_file(self) -> Path:
        if self._own is None:
            self.records_folder.mkdir(parents=True, exist_ok=True)
            name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
            self._own = self.records_folder / name
        return self._own

    def records(self) -> Iterator[Record]:
        """Yield every whole record, file by file.

        Raises:
            UserError: a line that is broken without being its file's last.
        """
        for path in sorted(self.records_folder.glob("*.jsonl")):
            lines = path.read_bytes().split(b"\n")
            for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is unfinished
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise UserError(f"{path}:{number}: not a record: {error}") from error

    def latest(self) -> dict[str, Record]:
        """Return the newest record of every key."""
        newest: dict[str, Record] = {}
        for record in self.records():
            known = newest.get(record["key"])
            if known is None or known["finished"] <= record["finished"]:
                newest[record["key"]] = record
        return newest

    def put(self, arrays: Arrays, *, compress: bool = False) -> str:
        """Save arrays by name and return the artifact's own name."""
        data = safetensors.numpy.save(dict(arrays))
        suffix = ".safetensors.gz" if compress else ".safetensors"
        name = hashlib.sha256(data).hexdigest()[:32] + suffix
        path = self._path(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _publish(path, gzip.compress(data, mtime=0) if compress else data)
        return name

    def get(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Load an artifact.

        Raises:
            UserError: it is missing, or its content is not what its name says.
        """
        path = self._path(name)
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if name.endswith(".gz") else data
        except (OSError, EOFError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        if not name.startswith(hashlib.sha256(data).hexdigest()[:32]):
            raise UserError(f"{path}: damaged: its content is not what its name says; delete it")
        return safetensors.numpy.load(data)

    def _path(self, name: str) -> Path:
        return self.artifacts_folder / name[:2] / name


def _publish(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that it is whole or absent."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
