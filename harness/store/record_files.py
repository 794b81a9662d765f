"""Record files: JSON lines, one file per writer, and the parquet files that they are packed into.

A line ends with the record's scalars, most of its bytes, so that they are cut off without being
parsed. Every line is checked against the record's type when it is read, and decoded for good on
demand. An incomplete last line, left by a writer that was killed, is skipped. Any other damage is
reported: runs and reports go on without damaged lines, and what writes records stops at them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from harness.errors import UserError
from harness.plan.keys import digest
from harness.store.record import (
    SCHEMA,
    CellRecord,
    ProbeRecord,
    Record,
    Status,
    VictimRecord,
    to_json,
)

GROUP = 4096
"""Records of a parquet file that are in memory at a time."""
SHOWN = 5
"""Damaged lines of a file that a message names."""
BROKEN = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The exceptions that decoding a broken line can raise."""
REMEDY = {
    ".jsonl": "; restore the line, or delete it, and a run computes its result again",
    ".parquet": "; copy the file again, or move it away, and a run computes its results again",
}
"""What a user can do, by the kind of file."""
_SCALARS = b', "scalars": '


class DamagedLinesError(UserError):
    """Lines of a file are no records; all others have been read."""

    def __init__(self, path: Path, faults: list[str]) -> None:
        more = [f"{path}: and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        super().__init__("\n".join([*faults[:SHOWN], *more]))
        others = f" (and {len(faults) - 1} more lines of this file)" if len(faults) > 1 else ""
        self.in_one_line = f"left out: {faults[0]}{others}"


class _Artifacts(msgspec.Struct):
    artifacts: dict[str, str] = {}


class _Result(msgspec.Struct):
    result: _Artifacts | None = None


class _Spec(msgspec.Struct):
    spec: Any


class _Layout(msgspec.Struct):
    schema: int = SCHEMA


Kind = TypeVar("Kind", VictimRecord, CellRecord, ProbeRecord)

_RECORD: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_LOG = msgspec.json.Decoder(list[dict[str, float]])
_RESULT = msgspec.json.Decoder(_Result)
_SPEC = msgspec.json.Decoder(_Spec)


class RecordLine(NamedTuple):
    """One record as it is on disk: its head, and JSON texts."""

    key: str
    kind: str
    status: Status
    finished: str
    text: bytes
    """The record without its scalars."""
    scalars: bytes = b"[]"
    decoded: Record | None = None
    """The record, if it was decoded when the line was read, and has no scalars here."""

    def record(self) -> Record:
        """Return the record, with its scalars.

        Raises:
            UserError: a field is missing or has another type.
        """
        if self.decoded is not None:
            return self.decoded
        try:
            return _RECORD.decode(self.encoded())
        except msgspec.MsgspecError as error:
            raise UserError(f"record {self.key}: {error}") from error

    def artifacts(self) -> dict[str, str]:
        """Return artifact names by role, roles that this version does not know included."""
        result = _RESULT.decode(self.text).result
        return {} if result is None else result.artifacts

    def key_of_spec(self) -> str:
        """Return the key that the record's spec has."""
        return digest(_SPEC.decode(self.text).spec)

    def encoded(self) -> bytes:
        """Return the line of a record file, without its newline."""
        return _joined(self.text, self.scalars)


_PACKED = RecordLine._fields[:-1]
"""What a parquet file has of a line."""


def to_line(record: Record) -> RecordLine:
    """Return a record as a line.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    values = to_json(record)
    scalars = json.dumps(values.pop("scalars"), allow_nan=False).encode()
    text = json.dumps(values, allow_nan=False).encode()
    return RecordLine(record.key, values["kind"], record.status, record.finished, text, scalars)


def parse_line(line: bytes, *, scalars: bool = True) -> RecordLine:
    """Return the line of a record file; ``scalars`` tells whether they are checked and kept.

    Raises:
        msgspec.MsgspecError: not a record.
    """
    text, log = _parted(line)
    record = _RECORD.decode(text)
    if scalars:
        _LOG.decode(log)
    head = (record.key, record.kind, record.status, record.finished)
    return RecordLine(*head, text, log) if scalars else RecordLine(*head, text, decoded=record)


def _parted(line: bytes) -> tuple[bytes, bytes]:
    """Return a line without its scalars, and its scalars.

    Where they are the line's end, as they are written, they are found without being parsed.

    Raises:
        msgspec.MsgspecError: not a JSON object.
    """
    end = line.find(_SCALARS)
    start = end + len(_SCALARS)
    if line.startswith(b"[", start) and line.find(b"]", start) == len(line) - len(b"]}"):
        return line[:end] + b"}", line[start:-1]
    values = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    log = bytes(values.pop("scalars", b"[]"))
    fields = (json.dumps(name).encode() + b": " + bytes(x) for name, x in values.items())
    return b"{" + b", ".join(fields) + b"}", log


def read_lines(path: Path, *, scalars: bool = True, scalars_of: str = "") -> Iterator[RecordLine]:
    """Yield every complete line of a record file, JSON lines or parquet; then raise its faults.

    Args:
        path: the file.
        scalars: whether they are read; to check them takes twice as long as all the rest.
        scalars_of: the key of the only record whose scalars are wanted; empty for all.

    Raises:
        FileNotFoundError: the file is gone.
        DamagedLinesError: lines are no records; all others have been yielded.
        UserError: it can't be read, or holds records of a later version.
    """
    faults: list[str] = []
    later: list[str] = []
    for where, line in _numbered_lines(path, scalars):
        try:
            wanted = scalars and (not scalars_of or scalars_of.encode() in line)
            yield parse_line(line, scalars=wanted)
        except BROKEN as error:
            schema = _schema(line)
            if schema > SCHEMA:
                reason = f"a record of a later version (schema {schema}, not {SCHEMA})"
                later.append(f"{path}:{where}: {reason}: update Defuse")
            else:
                reason = f"not a record: {str(error)[:200]}{REMEDY[path.suffix]}"
                faults.append(f"{path}:{where}: {reason}")
    if later:
        raise UserError("\n".join(later[:SHOWN]))
    if faults:
        raise DamagedLinesError(path, faults)


def _schema(line: bytes) -> int:
    try:
        return msgspec.json.decode(line, type=_Layout).schema
    except BROKEN:
        return SCHEMA


def _numbered_lines(path: Path, scalars: bool) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the text of every line, one that its writer has not finished left out.

    Raises:
        FileNotFoundError: the file is gone.
        UserError: it can't be read.
    """
    check_regular(path)
    try:
        if path.suffix == ".parquet":
            yield from _packed_lines(path, scalars)
            return
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if line.endswith(b"\n") or _is_json(line):
                    yield number, line.removesuffix(b"\n")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error}") from error


def _packed_lines(path: Path, scalars: bool) -> Iterator[tuple[int, bytes]]:
    import pyarrow
    import pyarrow.parquet

    columns, numbers = ["text", "scalars"] if scalars else ["text"], count(1)
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches(GROUP, columns=columns):
                kept = [batch.column(name).cast(pyarrow.binary()).to_pylist() for name in columns]
                for number, text, *log in zip(numbers, *kept, strict=False):
                    yield number, _joined(text or b"", log[0] or b"" if log else b"[]")
    except (pyarrow.ArrowException, KeyError, OSError) as error:
        reason = str(error).splitlines()[0][:200]
        raise UserError(f"{path}: damaged ({reason}){REMEDY[path.suffix]}") from error


def _joined(text: bytes, scalars: bytes) -> bytes:
    return text[:-1] + _SCALARS + scalars + b"}"


def _is_json(line: bytes) -> bool:
    """Tell whether a last line without its newline is whole nevertheless."""
    try:
        msgspec.json.decode(line)
    except BROKEN:
        return False
    return True


def check_regular(path: Path) -> None:
    """Check that a path is a file that can be read to its end.

    Raises:
        FileNotFoundError: there is nothing.
        UserError: it is a folder, a pipe, or a link to nothing or to itself.
    """
    if not path.is_file():
        path.lstat()
        raise UserError(f"{path}: not a file but a folder, a pipe or a dead link; move it away")


def check_keys(lines: Iterable[RecordLine], folder: Path) -> None:
    """Check that the key of every record is the digest of its spec; it takes 30 us a record.

    Raises:
        UserError: records of the folder are not what their keys say.
    """
    faults = [
        f"{folder}: record {line.key}: its spec has another key ({line.key_of_spec()}), so its "
        f"scores belong elsewhere{REMEDY['.jsonl']}"
        for line in lines
        if line.key != line.key_of_spec()
    ]
    if faults:
        more = [f"{folder}: and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        raise UserError("\n".join([*faults[:SHOWN], *more]))


def write_packed(lines: Iterable[RecordLine], path: Path) -> int:
    """Write lines into a new parquet file, GROUP by GROUP; return how many."""
    import pyarrow
    import pyarrow.parquet

    text, raw = pyarrow.string(), pyarrow.binary()
    schema = pyarrow.schema(
        [(name, raw if name in {"text", "scalars"} else text) for name in _PACKED],
        metadata={"schema": "defuse records 1"},
    )
    written, remaining = 0, iter(lines)
    with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as file:
        while group := list(islice(remaining, GROUP)):
            columns = [[getattr(line, name) for line in group] for name in _PACKED]
            file.write_table(pyarrow.table(columns, schema=schema))
            written += len(group)
    return written


class LatestRecords(Mapping[str, Record]):
    """The newest record of every key, each decoded when it is first asked for."""

    def __init__(
        self, lines: Iterable[RecordLine] = (), *, scalars: bool = False, decoded: bool = False
    ) -> None:
        """Keep the newest of ``lines``, with their scalars, and decoded, only where asked."""
        self.damaged: list[str] = []
        """One line for each file with damaged lines, which were left out."""
        self._lines: dict[str, RecordLine] = {}
        self._decoded: dict[str, Record] = {}
        for line in lines:
            known = self._lines.get(line.key)
            if known is None or known.finished <= line.finished:
                kept = line if scalars or (decoded and line.decoded) else RecordLine(*line[:5])
                self._lines[line.key] = kept

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
        return self._of_kind(VictimRecord, key)

    def cell(self, key: str) -> CellRecord | None:
        """Return the record of a cell; None when it has none."""
        return self._of_kind(CellRecord, key)

    def _of_kind(self, kind: type[Kind], key: str) -> Kind | None:
        record = self.get(key)
        if record is not None and not isinstance(record, kind):
            raise UserError(f"record {key}: of a {record.kind}, where one of a {kind.kind} belongs")
        return record

    def probe(self, key: str) -> ProbeRecord | None:
        """Return the record of a probe; None when it has none."""
        return self._of_kind(ProbeRecord, key)

    def line(self, key: str) -> RecordLine | None:
        """Return a key's record as it is on disk; None when it has none."""
        return self._lines.get(key)

    def kind(self, key: str) -> str:
        """Return the kind of a key's record."""
        return self._lines[key].kind

    def artifacts(self, key: str) -> dict[str, str]:
        """Return the names of a record's artifacts by role, as of ``RecordLine.artifacts``."""
        return self._lines[key].artifacts()

    def sample_ok(self, most: int) -> Iterator[Record]:
        """Yield records of tasks that ended well: `most` at the most, at even distances."""
        ok = [key for key in self if self.status(key) is Status.OK]
        return (self[key] for key in ok[:: -(-len(ok) // most) or 1])

    def status(self, key: str) -> Status | None:
        """Return the status of a key; None when it has no record."""
        return self._lines[key].status if key in self._lines else None

    def finished(self, key: str) -> str:
        """Return when a key's record was made, in ISO format; "" when it has none."""
        return self._lines[key].finished if key in self._lines else ""
