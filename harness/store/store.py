"""The only state: append-only records and content-addressed artifacts, safe against crashes and on NFS.

``records/`` holds JSON lines, one file per writing process, so that no two processes write to one
file; ``artifacts/`` holds safetensors files named by the sha256 of their content. Every other file
is made beside its place and moved there: it is whole or absent.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy

from harness.errors import UserError
from harness.store.record import Record, artifact_names
from harness.store.record_files import LatestRecords, RecordLine, read_lines, to_line

Arrays = Mapping[str, np.ndarray[Any, Any]]


class StoreError(OSError):
    """The store can't be written: a full disk, a quota, a lost mount."""


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
            StoreError: the disk is full or gone; what was written of the line is taken back.
        """
        with _named_failure(self.records_folder):
            self._append(to_line(record).encoded() + b"\n")

    def _append(self, line: bytes) -> None:
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

    def record_files(self) -> list[Path]:
        """Return every file that holds records, in order of their names."""
        found = self.records_folder.glob("*")
        return sorted(
            path for path in found if path.suffix in {".jsonl", ".parquet"} and path.name[0] != "."
        )

    def lines(self, *, scalars: bool = True) -> Iterator[RecordLine]:
        """Yield every whole record as it lies on disk, file by file; a record may come twice.

        A file that was packed away meanwhile is found again in the file that it was packed into.

        Raises:
            UserError: a line that is broken without being its file's last.
        """
        read: set[Path] = set()
        while fresh := [path for path in self.record_files() if path not in read]:
            for path in fresh:
                read.add(path)
                try:
                    yield from read_lines(path, scalars=scalars)
                except FileNotFoundError:
                    continue

    def records(self) -> Iterator[Record]:
        """Yield every whole record, file by file; errors as for ``lines``."""
        for line in self.lines():
            yield line.record()

    def latest(self, *, scalars: bool = False) -> LatestRecords:
        """Return the newest record of every key, with its scalars where they are asked for."""
        return LatestRecords(self.lines(scalars=scalars), scalars=scalars)

    def newest(self, key: str) -> Record | None:
        """Return the newest record of a key, with its scalars; None when it has none."""
        lines = [line for line in self.lines() if line.key == key]
        return max(reversed(lines), key=lambda line: line.finished).record() if lines else None

    def put(self, arrays: Arrays, *, compress: bool = False) -> str:
        """Save arrays by name and return the artifact's own name.

        Raises:
            StoreError: the disk is full or gone; nothing of the file stays.
        """
        data = safetensors.numpy.save(dict(arrays))
        suffix = ".safetensors.gz" if compress else ".safetensors"
        name = hashlib.sha256(data).hexdigest()[:32] + suffix
        path = self.path_of(name)
        with _named_failure(path):
            if path.exists():
                os.utime(path)  # in use again: not to be freed before its record is there
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                publish(path, gzip.compress(data, mtime=0) if compress else data)
        return name

    def get(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Load an artifact.

        Raises:
            UserError: it is missing, or its content is not what its name says.
        """
        path = self.path_of(name)
        try:
            data = path.read_bytes()
            data = gzip.decompress(data) if name.endswith(".gz") else data
        except (OSError, EOFError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from error
        if not name.startswith(hashlib.sha256(data).hexdigest()[:32]):
            raise UserError(f"{path}: damaged: its content is not what its name says; delete it")
        return safetensors.numpy.load(data)

    def holds(self, record: Record) -> bool:
        """Tell whether every artifact that a record names is there."""
        return all(self.path_of(name).exists() for name in artifact_names(record).values())

    def path_of(self, name: str) -> Path:
        """Return where an artifact lies, or would."""
        return self.artifacts_folder / name[:2] / name


def store_of(out: Path) -> Store:
    """Return the store of an output folder; all studies with this folder share it."""
    return Store(out / "store")


@contextmanager
def _named_failure(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(error.errno, error.strerror, error.filename or str(path)) from error


def publish(path: Path, data: bytes) -> None:
    """Write a file beside its place and move it there, so that it is whole or absent."""
    with part_of(path) as part, part.open("wb") as file:
        file.write(data)


@contextmanager
def part_of(path: Path) -> Iterator[Path]:
    """Yield the name of a hidden file beside ``path``, which is moved there when the block has ended well."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
