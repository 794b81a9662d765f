"""The store: append-only records and content-addressed artifacts, safe against crashes and on NFS.

``records/`` holds JSON lines, one file per writing process, so that no two processes write to one
file. ``artifacts/`` holds safetensors files named by the sha256 of their content; they are written
to a temporary file and renamed, so that each is complete or absent. There is no other state.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import os
import socket
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from harness.errors import UserError
from harness.store.record import ARTIFACT, Record, artifact_names
from harness.store.record_files import (
    DamagedLinesError,
    LatestRecords,
    RecordLine,
    check_regular,
    read_lines,
    to_line,
)

RESTORE = "; copy it from where it is whole, or make it again with defuse run --mode force"
Arrays = Mapping[str, np.ndarray[Any, Any]]


class StoreError(OSError):
    """The store can't be written: the disk is full, a quota is used up, a mount is gone."""


class Store:
    """Records and artifacts below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records_folder = folder / "records"
        self.artifacts_folder = folder / "artifacts"
        self._own: Path | None = None

    def append(self, record: Record) -> None:
        """Write a record to disk, completely or not at all.

        Raises:
            StoreError: the disk is full or gone; the file is cut back to its previous length.
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
        """Return all record files, sorted by name.

        Raises:
            UserError: there is something else than a folder.
        """
        try:
            found = list(self.records_folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UserError(f"{self.records_folder}: no folder of records: {error}") from error
        return sorted(
            path for path in found if path.suffix in {".jsonl", ".parquet"} and path.name[0] != "."
        )

    def lines(
        self, *, scalars: bool = True, scalars_of: str = "", damaged: list[str] | None = None
    ) -> Iterator[RecordLine]:
        """Yield every record as it is on disk, file by file; a record may occur twice.

        Records of a file that is packed in the meantime are read from the file that it was packed
        into. Scalars are read of all records, or of those with the key ``scalars_of``. Damaged
        lines are left out if there is a list, which then says so; damaged files never are: all of
        their results would be computed again.

        Raises:
            UserError: files or lines that are damaged, all of them; the others have been yielded.
        """
        read: set[Path] = set()
        faults: list[str] = []
        while fresh := [path for path in self.record_files() if path not in read]:
            for path in fresh:
                read.add(path)
                try:
                    yield from read_lines(path, scalars=scalars, scalars_of=scalars_of)
                except FileNotFoundError:
                    continue
                except DamagedLinesError as error:
                    if damaged is None:
                        faults.append(str(error))
                    else:
                        damaged.append(error.in_one_line)
                except UserError as error:
                    faults.append(str(error))
        if faults:
            raise UserError("\n".join(faults))

    def records(self) -> Iterator[Record]:
        """Yield every record, decoded, file by file; raises what ``lines`` raises."""
        for line in self.lines():
            yield line.record()

    def latest(self, *, scalars: bool = False, decoded: bool = False) -> LatestRecords:
        """Return the newest record of every key, by default without its scalars.

        ``decoded``: whether all will be asked for: twice the memory, in place of decoding twice.
        Its ``damaged`` names the files of which damaged lines were left out.
        """
        damaged: list[str] = []
        lines = self.lines(scalars=scalars, damaged=damaged)
        latest = LatestRecords(lines, scalars=scalars, decoded=decoded)
        latest.damaged = damaged
        return latest

    def newest(self, key: str) -> Record | None:
        """Return the newest record of a key, with its scalars; None if the key has none."""
        found = self.lines(scalars_of=key, damaged=[])
        lines = [line for line in found if line.key == key]
        return max(reversed(lines), key=lambda line: line.finished).record() if lines else None

    def put(self, arrays: Arrays, *, compress: bool = False) -> str:
        """Save named arrays and return the name of their artifact.

        Raises:
            StoreError: the disk is full or gone; no part of the file is left.
        """
        data = safetensors.numpy.save(dict(arrays))
        suffix = ".safetensors.gz" if compress else ".safetensors"
        name = hashlib.sha256(data).hexdigest()[:32] + suffix
        path = self.path_of(name)
        with _named_failure(path):
            if path.exists():
                os.utime(path)  # young again: gc keeps it until its record is written
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(path, gzip.compress(data, mtime=0) if compress else data)
        return name

    def get(self, name: str) -> dict[str, np.ndarray[Any, Any]]:
        """Load an artifact: its arrays by name.

        Raises:
            UserError: it is missing, or its content does not match its name.
        """
        path = self.path_of(name)
        try:
            check_regular(path)
            data = path.read_bytes()
            data = gzip.decompress(data) if name.endswith(".gz") else data
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{path}: cannot be read: {error}{RESTORE}") from error
        if not name.startswith(hashlib.sha256(data).hexdigest()[:32]):
            raise UserError(f"{path}: damaged: its content is not what its name says{RESTORE}")
        try:
            return safetensors.numpy.load(data)
        except (safetensors.SafetensorError, KeyError, ValueError) as error:
            raise UserError(f"{path}: not an artifact: {error}{RESTORE}") from error

    def has_artifacts(self, record: Record) -> bool:
        """Tell whether every artifact that a record names is in the store."""
        return all(self.path_of(name).exists() for name in artifact_names(record).values())

    def artifact_files(self) -> list[Path]:
        """Return all artifacts, sorted by name; other files among them are left out."""
        found = self.artifacts_folder.glob("*/*")
        return sorted(path for path in found if ARTIFACT.match(path.name))

    def path_of(self, name: str) -> Path:
        """Return the path of an artifact, whether it exists or not."""
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


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file atomically: to a temporary file in the same folder, which is then renamed."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield the path of a hidden file in the same folder; rename it to ``path`` after the block.

    If the block raises, the hidden file is removed.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
