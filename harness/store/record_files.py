"""Record files: JSON lines, one file per writer, and the parquet files that they are packed into.

A line starts with its head (key, kind, status, finished) and ends with its scalars, so that the
state of a study is read without parsing results, and results without parsing scalars. A line is
whole or, if its writer was killed in the act, the broken last line of its file, which readers leave
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, MutableMapping
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import UserError

Record = dict[str, Any]

HEAD = ("key", "kind", "status", "finished")
GROUP = 4096
"""Records of a parquet file that are in memory at a time."""
_HEAD = re.compile(
    rb"\{" + rb", ".join(rb'"%s": "([^"\\]*)"' % name.encode() for name in HEAD) + rb", "
)
_CUT = b', "scalars": '
_NO_CUT = b', "scalars" : '
"""The same JSON: so are deeper keys of this name written."""


class RecordLine(NamedTuple):
    """One record as it lies on disk: its head, and JSON texts."""

    key: str
    kind: str
    status: str
    finished: str
    text: bytes
    """The record without its scalars."""
    scalars: bytes = b"[]"

    def record(self) -> Record:
        """Return the whole record."""
        scalars = json.loads(self.scalars) if self.scalars != b"[]" else []
        return {**json.loads(self.text.decode()), "scalars": scalars}

    def encoded(self) -> bytes:
        """Return the line of a record file, without its newline."""
        return self.text[:-1] + _CUT + self.scalars + b"}"


def as_line(record: Record) -> RecordLine:
    """Return a record as a line; scalars are optional.

    Raises:
        ValueError: it holds NaN or infinity.
    """
    head = {name: record[name] for name in HEAD}
    rest = {name: x for name, x in sorted(record.items()) if name not in {*HEAD, "scalars"}}
    scalars = json.dumps(record.get("scalars", []), allow_nan=False)
    text = json.dumps({**head, **rest}, allow_nan=False)
    return RecordLine(**head, text=text.encode().replace(_CUT, _NO_CUT), scalars=scalars.encode())


def parsed(line: bytes) -> RecordLine:
    """Return the line of a record file.

    Raises:
        ValueError: not a record.
    """
    head = _HEAD.match(line)
    text, cut, scalars = line.partition(_CUT)
    if head is None or not cut or not line.endswith(b"}"):
        return as_line(json.loads(line))
    key, kind, status, finished = (x.decode() for x in head.groups())
    return RecordLine(key, kind, status, finished, text + b"}", scalars[:-1])


def read_lines(path: Path, *, scalars: bool = True) -> Iterator[RecordLine]:
    """Yield every whole line of a record file, JSON lines or parquet; from parquet, scalars if asked for.

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
                return  # its writer was killed in the act
            try:
                yield parsed(line[:-1])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"{path}:{number}: not a record: {error}") from error


def _read_packed(path: Path, scalars: bool) -> Iterator[RecordLine]:
    import pyarrow.parquet

    names = list(RecordLine._fields if scalars else RecordLine._fields[:-1])
    with pyarrow.parquet.ParquetFile(path) as file:
        for batch in file.iter_batches(GROUP, columns=names):
            columns = [batch.column(name).to_pylist() for name in names]
            yield from map(RecordLine, *columns)


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


class LatestRecords(MutableMapping[str, Record]):
    """The newest record of every key, parsed when asked for: most of them never are."""

    def __init__(self, lines: Iterable[RecordLine] = (), *, scalars: bool = False) -> None:
        """Keep the newest of ``lines``; their scalars, which are most of them, only where asked."""
        self._lines: dict[str, RecordLine] = {}
        for line in lines:
            known = self._lines.get(line.key)
            if known is None or known.finished <= line.finished:
                self._lines[line.key] = line if scalars else RecordLine(*line[:5])

    def __getitem__(self, key: str) -> Record:
        return self._lines[key].record()

    def __setitem__(self, key: str, record: Record) -> None:
        self._lines[key] = as_line({**record, "scalars": []})

    def __delitem__(self, key: str) -> None:
        del self._lines[key]

    def __contains__(self, key: object) -> bool:
        return key in self._lines

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def text(self, key: str) -> bytes:
        """Return a key's record as it lies on disk, without its scalars; empty when it has none."""
        return self._lines[key].text if key in self._lines else b""

    def status(self, key: str) -> str:
        """Return the status of a key; ``missing`` when it has no record."""
        return self._lines[key].status if key in self._lines else "missing"

    def finished(self, key: str) -> str:
        """Return when a key's record was made, in ISO format; "" when it has none."""
        return self._lines[key].finished if key in self._lines else ""
