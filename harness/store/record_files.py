"""Record files: JSON lines, one file per writer, and the parquet files that they are packed into.

A line ends with the record's scalars, most of its bytes, so that they are cut off without being
parsed. Of every line only the head is decoded (key, kind, status, finished), the rest on demand.
An incomplete last line, left by a writer that was killed, is skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.errors import UserError
from harness.store.record import CellRecord, ProbeRecord, Record, Status, VictimRecord, to_json

GROUP = 4096
"""Records of a parquet file that are in memory at a time."""
_SCALARS = b', "scalars": '


class _Head(msgspec.Struct):
    """What of a line is decoded at once."""

    key: str
    kind: str
    status: Status
    finished: str
    scalars: msgspec.Raw = msgspec.Raw(b"[]")


class _Artifacts(msgspec.Struct):
    artifacts: dict[str, str] = {}


class _Result(msgspec.Struct):
    result: _Artifacts | None = None


_HEAD = msgspec.json.Decoder(_Head)
_RECORD: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_RESULT = msgspec.json.Decoder(_Result)


class RecordLine(NamedTuple):
    """One record as it is on disk: its head, and JSON texts."""

    key: str
    kind: str
    status: Status
    finished: str
    text: bytes
    """The record without its scalars."""
    scalars: bytes = b"[]"

    def record(self) -> Record:
        """Decode the record, with its scalars.

        Raises:
            UserError: a field is missing or has another type.
        """
        try:
            return _RECORD.decode(self.encoded())
        except msgspec.MsgspecError as error:
            raise UserError(f"record {self.key}: {error}") from error

    def artifacts(self) -> dict[str, str]:
        """Return artifact names by role, roles that this version does not know included."""
        result = _RESULT.decode(self.text).result
        return {} if result is None else result.artifacts

    def encoded(self) -> bytes:
        """Return the line of a record file, without its newline."""
        return self.text[:-1] + _SCALARS + self.scalars + b"}"


def to_line(record: Record) -> RecordLine:
    """Return a record as a line.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    values = to_json(record)
    scalars = json.dumps(values.pop("scalars"), allow_nan=False).encode()
    text = json.dumps(values, allow_nan=False).encode()
    return RecordLine(record.key, values["kind"], record.status, record.finished, text, scalars)


def parse_line(line: bytes) -> RecordLine:
    """Return the line of a record file.

    Raises:
        msgspec.MsgspecError: not a record.
    """
    head = _HEAD.decode(line)
    scalars = bytes(head.scalars)
    end = _SCALARS + scalars + b"}"
    if line.endswith(end):
        text = line.removesuffix(end) + b"}"
    else:  # fields in another order
        rest = json.loads(line)
        rest.pop("scalars", None)
        text = json.dumps(rest).encode()
    return RecordLine(head.key, head.kind, head.status, head.finished, text, scalars)


def read_lines(path: Path, *, scalars: bool = True) -> Iterator[RecordLine]:
    """Yield every complete line of a record file, JSON lines or parquet.

    ``scalars``: whether they are read from a parquet file.

    Raises:
        FileNotFoundError: the file is gone.
        UserError: a line that is broken without being its file's last.
    """
    if path.suffix == ".parquet":
        yield from _read_packed(path, scalars)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return  # its writer was killed while writing it
            try:
                yield parse_line(line[:-1])
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                raise UserError(f"{path}:{number}: not a record: {error}") from error


def _read_packed(path: Path, scalars: bool) -> Iterator[RecordLine]:
    import pyarrow.parquet

    names = list(RecordLine._fields if scalars else RecordLine._fields[:-1])
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(GROUP, columns=names):
            columns = {name: batch.column(name).to_pylist() for name in names}
            columns["status"] = map(Status, columns["status"])
            yield from map(RecordLine, *columns.values())


def write_packed(lines: Iterable[RecordLine], path: Path) -> int:
    """Write lines into a new parquet file, GROUP by GROUP; return how many."""
    import pyarrow
    import pyarrow.parquet

    text, raw = pyarrow.string(), pyarrow.binary()
    schema = pyarrow.schema(
        [(name, raw if name in {"text", "scalars"} else text) for name in RecordLine._fields],
        metadata={"schema": "defuse records 1"},
    )
    written, remaining = 0, iter(lines)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        while group := list(islice(remaining, GROUP)):
            columns = [list(column) for column in zip(*group, strict=True)]
            file.write_table(pyarrow.table(columns, schema=schema))
            written += len(group)
    return written


class LatestRecords(Mapping[str, Record]):
    """The newest record of every key, each decoded when it is first asked for."""

    def __init__(self, lines: Iterable[RecordLine] = (), *, scalars: bool = False) -> None:
        """Keep the newest of ``lines``, with their scalars only where asked."""
        self._lines: dict[str, RecordLine] = {}
        self._decoded: dict[str, Record] = {}
        for line in lines:
            known = self._lines.get(line.key)
            if known is None or known.finished <= line.finished:
                self._lines[line.key] = line if scalars else RecordLine(*line[:5])

    def __getitem__(self, key: str) -> Record:
        if key not in self._decoded:
            self._decoded[key] = self._lines[key].record()
        return self._decoded[key]

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def add(self, record: Record) -> None:
        """Take a record as the newest of its key."""
        self._lines[record.key] = to_line(record)._replace(scalars=b"[]")
        self._decoded.pop(record.key, None)

    def victim(self, key: str) -> VictimRecord | None:
        """Return the record of a victim; None when it has none."""
        record = self.get(key)
        assert record is None or isinstance(record, VictimRecord)
        return record

    def cell(self, key: str) -> CellRecord | None:
        """Return the record of a cell; None when it has none."""
        record = self.get(key)
        assert record is None or isinstance(record, CellRecord)
        return record

    def probe(self, key: str) -> ProbeRecord | None:
        """Return the record of a probe; None when it has none."""
        record = self.get(key)
        assert record is None or isinstance(record, ProbeRecord)
        return record

    def line(self, key: str) -> RecordLine | None:
        """Return a key's record as it is on disk; None when it has none."""
        return self._lines.get(key)

    def kind(self, key: str) -> str:
        """Return the kind of a key's record."""
        return self._lines[key].kind

    def artifacts(self, key: str) -> dict[str, str]:
        """Return the names of a record's artifacts by role, as of ``RecordLine.artifacts``."""
        return self._lines[key].artifacts()

    def status(self, key: str) -> Status | None:
        """Return the status of a key; None when it has no record."""
        return self._lines[key].status if key in self._lines else None

    def finished(self, key: str) -> str:
        """Return when a key's record was made, in ISO format; "" when it has none."""
        return self._lines[key].finished if key in self._lines else ""
