"""Stores that were damaged, or made by someone who means harm, under every command that reads one.

Each is a copy of a good store of six cells on two victims, with one thing changed.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow
import pyarrow.parquet
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UserError
from harness.store.store import Store
from tests.campaign.outcome import Case
from tests.helpers.synthetic_store import fabricate

Records = list[dict[str, Any]]
COMMANDS = (
    ("status", "{study}", "--out", "{out}"),
    ("run", "{study}", "--out", "{out}", "--dry-run"),
    ("show", "{study}", "method_00 seed 0", "--out", "{out}"),
    ("compare", "{out}", "{good}"),
    ("compare", "{good}", "{out}"),
    ("gc", "--out", "{out}"),
    ("gc", "{study}", "--out", "{out}"),
    ("report", "{study}", "--out", "{out}"),
    ("merge", "{empty}", "{out}", "--mixed-versions"),
    ("merge", "{out}", "{good}"),
    ("compact", "{study}", "--out", "{out}"),
)
REPORT = "report"
"""The command that takes seconds."""
ODD: tuple[Any, ...] = (
    None,
    True,
    -1,
    7.5,
    2**70,
    1e308,
    "",
    "x",
    "../../etc/passwd",
    "/etc/passwd",
    [],
    {},
    [[1]],
    {"a": {"b": []}},
)


def good_store(folder: Path) -> Path:
    """Make the good store below ``folder``, and return the study's path."""
    study, _ = fabricate(folder, defenses=2, attacks=1, spcs=(2,), seeds=(0, 1))
    return Path(study.path)


def cases(good: Path, *, report: bool = True) -> Iterator[Case]:
    """Yield all cases; ``good`` is the folder of the good store, ``report`` whether to report."""
    commands = [x for x in COMMANDS if report or x[0] != REPORT]
    run, calls = partial(_attempt, good, commands), len(commands)
    for what, change in FILES.items():
        yield Case(f"store: {what}", partial(run, change), calls=calls)
    for what, change in IN_REPORT.items() if report else ():
        yield Case(f"store: {what}", partial(run, change), calls=calls)
    for what, change in HARMLESS.items():
        yield Case(f"store: {what}", partial(run, change), True, calls)
    for what, edit in RECORDS.items():
        yield Case(f"store: {what}", partial(run, partial(_edit_records, edit)), calls=calls)
    for what, edit in HARMLESS_RECORDS.items():
        yield Case(f"store: {what}", partial(run, partial(_edit_records, edit)), True, calls)


def fields(good: Path) -> Iterator[Case]:
    """Yield a case for every field of a record and every odd value, without a report."""
    commands = [x for x in COMMANDS if x[0] in {"status", "compare", "gc", "merge", "show"}]
    run = partial(_attempt, good, commands)
    records = _read(good)
    for kind in ("victim", "cell"):
        row = next(i for i, x in enumerate(records) if x["kind"] == kind and "result" in x)
        for place in _places(records[row]):
            yield Case(
                f"store: a {kind} without {'.'.join(place)}",
                partial(run, partial(_edit_records, partial(_set, row, place, None, delete=True))),
                may_pass=True,
            )
            for value in ODD:
                yield Case(
                    f"store: {value!r} as a {kind}'s {'.'.join(place)}",
                    partial(run, partial(_edit_records, partial(_set, row, place, value))),
                    may_pass=True,
                )


def _places(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, child in value.items() if isinstance(value, dict) else ():
        yield (*place, key)
        yield from _places(child, (*place, key))


def _set(row: int, place: tuple[str, ...], value: Any, records: Records, *, delete=False) -> None:
    parent = records[row]
    for part in place[:-1]:
        parent = parent[part]
    if delete:
        del parent[place[-1]]
    else:
        parent[place[-1]] = value


def _attempt(good: Path, commands: Any, change: Callable[[Path], None], folder: Path) -> None:
    """Change a copy of the good store, and call every command on it.

    Raises:
        UserError: of a command; all of them are called.
    """
    out = folder / "out"
    shutil.copytree(good / "out", out, symlinks=True)
    change(out / "store")
    study = next(good.glob("*.yaml"))
    places = {"study": study, "out": out, "good": good / "out", "empty": folder / "empty"}
    refusals = []
    for command in commands:
        if command[0] == "merge":  # it changes a store, which later commands must not see
            shutil.rmtree(folder / "empty", ignore_errors=True)
        words = [word.format(**places) for word in command]
        if command[0] == REPORT and refusals:
            continue  # refused by the same reader
        result = CliRunner().invoke(cli, words, standalone_mode=False)
        if isinstance(result.exception, UserError | click.ClickException):
            refusals.append(str(result.exception))
        elif result.exception is not None:
            raise RuntimeError(" ".join(command)) from result.exception
    if refusals:
        raise UserError("\n".join(dict.fromkeys("\n".join(refusals).splitlines())))


def _lines_file(store: Path) -> Path:
    return next((store / "records").glob("*.jsonl"))


def _read(good: Path) -> Records:
    return [json.loads(x) for x in _lines_file(good / "out" / "store").read_bytes().splitlines()]


def _edit_records(edit: Callable[[Records], object], store: Path) -> None:
    path = _lines_file(store)
    records = [json.loads(line) for line in path.read_bytes().splitlines()]
    edit(records)
    path.write_text("".join(json.dumps(x) + "\n" for x in records))


def _bytes(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Return a change of the bytes of the record file."""

    def change(store: Path) -> None:
        path = _lines_file(store)
        path.write_bytes(edit(path.read_bytes()))

    return change


def _instead(make: Callable[[Path], object], *places: str) -> Callable[[Path], None]:
    """Return a change that puts something in the place of a file or folder of the store."""

    def change(store: Path) -> None:
        path = store.joinpath(*places) if places else _lines_file(store)
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        make(path)

    return change


def _artifact(role: str, make: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return a change that puts something in the place of the artifacts of a role."""

    def change(store: Path) -> None:
        records = [json.loads(line) for line in _lines_file(store).read_bytes().splitlines()]
        names = {x.get("result", {}).get("artifacts", {}).get(role) for x in records} - {None}
        assert names
        for name in names:
            path = store / "artifacts" / name[:2] / name
            path.unlink()
            make(path)

    return change


def _other_arrays(role: str, arrays: dict[str, Any]) -> Callable[[Path], None]:
    """Return a change after which the artifacts of a role hold other arrays, under a right name."""

    def change(store: Path) -> None:
        name = Store(store).put(arrays)

        def edit(records: Records) -> None:
            for record in records:
                if role in record.get("result", {}).get("artifacts", {}):
                    record["result"]["artifacts"][role] = name

        _edit_records(edit, store)

    return change


def _packed(edit: Callable[[Path], object]) -> Callable[[Path], None]:
    """Return a change of a parquet file with the records, which has no JSON lines beside it."""

    def change(store: Path) -> None:
        path = _lines_file(store)
        lines = list(Store(store).lines())
        from harness.store.record_files import write_packed

        write_packed(lines, path.with_suffix(".parquet"))
        path.unlink()
        edit(path.with_suffix(".parquet"))

    return change


def _table(**columns: Any) -> Callable[[Path], None]:
    return _packed(lambda path: pyarrow.parquet.write_table(pyarrow.table(columns), path))


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for place in range(40, len(data) // 2, 97):
        data[place] ^= 255
    path.write_bytes(bytes(data))


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _torn(text: bytes) -> bytes:
    """Return lines of which the second has an intact head and a broken body."""
    lines = text.splitlines(keepends=True)
    return b"".join([lines[0], lines[1][:400] + b"\n", *lines[2:]])


def _two_in_one(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    return lines[0].rstrip() + b"".join(lines[1:])


OTHERS: dict[str, dict[str, Any]] = {
    "no arrays": {},
    "other names": {"x": np.zeros(3)},
    "text": {"clean": np.frombuffer(b"text", np.uint8)},
    "too few": {x: np.zeros(1, np.uint8) for x in ("clean", "triggered", "truth")},
    "odd shapes": {
        x: np.zeros((2, 0, 1, 3, 1), np.float32)
        for x in ("clean", "triggered", "truth", "mask.a", "inverse.a")
    },
}

FILES: dict[str, Callable[[Path], None]] = {
    "a parquet file cut in half": _packed(_cut),
    "a parquet file with changed bytes": _packed(_flip),
    "an empty parquet file": _packed(lambda path: path.write_bytes(b"")),
    "a parquet file of text": _packed(lambda path: path.write_text("no parquet")),
    "a parquet file of its marks alone": _packed(lambda path: path.write_bytes(b"PAR1PAR1")),
    "a parquet file whose footer is longer than it": _packed(
        lambda path: path.write_bytes(path.read_bytes()[:-8] + b"\xff\xff\xff\x7fPAR1")
    ),
    "a parquet file of other columns": _table(a=[1, 2]),
    "a parquet file of numbers": _table(text=[1, 2], scalars=[1, 2]),
    "a parquet file of nulls": _table(
        text=pyarrow.array([None], pyarrow.binary()), scalars=pyarrow.array([b"[]"])
    ),
    "a parquet file of lists": _table(text=[[b"a"]], scalars=[[b"b"]]),
    "a parquet file of other texts": _table(text=[b"{}", b"no"], scalars=[b"[]", b"[]"]),
    "a pipe for a record file": _instead(os.mkfifo),
    "a folder for a record file": _instead(os.mkdir),
    "a link to itself for a record file": _instead(_loop),
    "a link to nothing for a record file": _instead(lambda path: path.symlink_to("/no/such")),
    "a link to a device for a record file": _instead(lambda path: path.symlink_to("/dev/zero")),
    "a link to a foreign file": _instead(lambda path: path.symlink_to("/etc/passwd")),
    "a file for the folder of records": _instead(lambda path: path.write_text("x"), "records"),
    "a pipe for the folder of records": _instead(os.mkfifo, "records"),
    "a link to itself for the folder of records": _instead(_loop, "records"),
    "a file for the store": _instead(lambda path: path.write_text("x"), "."),
    "a broken line": _bytes(lambda text: b"{oh\n" + text),
    "an intact head and a broken body": _bytes(_torn),
    "two records in one line": _bytes(_two_in_one),
    "binary data": _bytes(lambda text: bytes(range(256)) * 40 + b"\n" + text),
    "NUL bytes in a line": _bytes(lambda text: text[:300] + b"\0" * 100 + text[300:]),
    "UTF-16": _bytes(lambda text: text.decode().encode("utf-16")),
    "a mark of the byte order": _bytes(lambda text: b"\xef\xbb\xbf" + text),
    "bytes of no encoding": _bytes(lambda text: text.replace(b"digits", b"digi\xff\xfe")),
    "a long line": _bytes(lambda text: b"x" * 50_000_000 + b"\n" + text),
    "a nested line": _bytes(lambda text: b"[" * 100_000 + b"]" * 100_000 + b"\n" + text),
    "a nested field": _bytes(
        lambda text: text.replace(b'"spec"', b'"z": ' + b"[" * 5000 + b"]" * 5000 + b', "spec"', 1)
    ),
    "a line that is a list": _bytes(lambda text: b"[1, 2]\n" + text),
    "a line that is a number": _bytes(lambda text: b"9" * 5000 + b"\n" + text),
    "an empty line": _bytes(lambda text: b"\n" + text),
    "half a character": _bytes(lambda text: text.replace(b"digits", b"\\ud800", 1)),
    "NaN for a score": _bytes(lambda text: text.replace(b'"acc": 0', b'"acc": NaN, "x": 0', 1)),
    "infinity for a score": _bytes(
        lambda text: text.replace(b'"acc": 0', b'"acc": Infinity, "x": 0', 1)
    ),
    "a score beyond a float": _bytes(
        lambda text: text.replace(b'"acc": 0', b'"acc": 1e999, "x": 0', 1)
    ),
    "a score of 5000 digits": _bytes(
        lambda text: text.replace(b'"acc": 0', b'"acc": ' + b"9" * 5000 + b', "x": 0', 1)
    ),
    "scalars that are none": _bytes(
        lambda text: text.replace(b'"scalars": [{"step": 0', b'"scalars": [{"step": "x", "y": 0', 1)
    ),
}

# found when a report reads the artifacts
IN_REPORT: dict[str, Callable[[Path], None]] = {
    **{
        f"{what} of a {role}": _artifact(role, make)
        for role in ("predictions", "samples", "method")
        for what, make in {
            "a pipe instead": os.mkfifo,
            "a folder instead": os.mkdir,
            "a link to itself instead": _loop,
            "other bytes": lambda path: path.write_bytes(b"no"),
        }.items()
    },
    **{f"{what} as samples": _other_arrays("samples", arrays) for what, arrays in OTHERS.items()},
}

HARMLESS: dict[str, Callable[[Path], None]] = {
    **{
        f"no file of a {role}": _artifact(role, lambda path: None)  # a report says so
        for role in ("predictions", "samples", "method")
    },
    "an unfinished last line": _bytes(lambda text: text + text[:200]),
    "a last line without its end": _bytes(lambda text: text.rstrip()),
    "every line twice": _bytes(lambda text: text * 2),
    "an empty file of records": _bytes(lambda text: b""),
    "line ends of Windows": _bytes(lambda text: text.replace(b"\n", b"\r\n")),
    "foreign files among the records": lambda store: (
        (store / "records" / "notes.txt").write_text("hello"),
        (store / "records" / ".hidden.jsonl").write_text("x"),
        os.mkfifo(store / "records" / "pipe"),
    ),
    "foreign files among the artifacts": lambda store: (
        (store / "artifacts" / "README").write_text("hello"),
        (store / "artifacts" / "aa").mkdir(exist_ok=True),
        (store / "artifacts" / "aa" / "notes.txt").write_text("hello"),
        (store / "artifacts" / "loop").symlink_to("loop"),
        (store / "artifacts" / "aa" / "loop").symlink_to("loop"),
        os.mkfifo(store / "artifacts" / "aa" / ".pipe"),
    ),
    **{
        f"{what} as {role}": _other_arrays(role, arrays)
        for role in ("predictions", "method")
        for what, arrays in OTHERS.items()
    },
    "a key twice in a record": _bytes(
        lambda text: text.replace(b'"acc": 0', b'"acc": 0.1, "acc": 0', 1)
    ),
    "a name of a writer that is no number": lambda store: _lines_file(store).rename(
        store / "records" / f"{os.uname().nodename}-x-y.jsonl"
    ),
}


def _all(place: tuple[str, ...], value: Any) -> Callable[[Records], None]:
    """Return an edit of a field in every record that has it."""

    def edit(records: Records) -> None:
        hits = 0
        for record in records:
            parent: Any = record
            for part in place[:-1]:
                parent = parent.get(part, {})
            if place[-1] in parent:
                parent[place[-1]] = value
                hits += 1
        assert hits

    return edit


def _without(*place: str) -> Callable[[Records], None]:
    def edit(records: Records) -> None:
        for record in records:
            parent: Any = record
            for part in place[:-1]:
                parent = parent.get(part, {})
            parent.pop(place[-1], None)

    return edit


def _swap_kinds(records: Records) -> None:
    """Give a victim's key to a cell, and a cell's to a victim."""
    victim = next(x for x in records if x["kind"] == "victim")
    cell = next(x for x in records if x["kind"] == "cell")
    victim["key"], cell["key"] = cell["key"], victim["key"]


RECORDS: dict[str, Callable[[Records], object]] = {
    "an unknown status": _all(("status",), "splendid"),
    "an unknown kind": _all(("kind",), "spy"),
    "a later schema": _all(("schema",), 99),
    "a later schema of another layout": lambda records: [
        (x.update(schema=99), x.pop("spec"), x.pop("result", 0)) for x in records
    ],
    "no result": _without("result"),
    "no schema": _without("schema"),
    "no spec": _without("spec"),
    "no name": _without("name"),
    "no artifacts": _without("result", "artifacts"),
    "an artifact /etc/passwd": _all(("result", "artifacts", "predictions"), "/etc/passwd"),
    "an artifact out of the store": _all(
        ("result", "artifacts", "predictions"), "../../../secret.safetensors"
    ),
    "an artifact of 5000 letters": _all(("result", "artifacts", "predictions"), "a" * 5000),
    "an artifact with a NUL": _all(("result", "artifacts", "predictions"), "a\0b"),
    "an artifact that is empty": _all(("result", "artifacts", "predictions"), ""),
    "ACC of 7": _all(("result", "acc"), 7.0),
    "ACC of -1": _all(("result", "acc"), -1),
    "ACC that is text": _all(("result", "acc"), "0.5"),
    "ACC that is null": _all(("result", "acc"), None),
    "1e308 seconds": _all(("result", "seconds"), 1e308),
    "negative seconds": _all(("result", "seconds"), -5.0),
    "companions that are none": _all(("result", "companions"), {"inverse": {"acc": 1}}),
    "huge memory": _all(("result", "peak_mem_mb"), 1e308),
    "a DER of 1e308": _all(("result", "der"), 1e308),
    "a psnr of -1e308": _all(("result", "psnr"), -1e308),
    "a key that is a number": _all(("key",), 5),
    "finished that is a number": _all(("finished",), 5),
    "keys of the wrong kind": _swap_kinds,
}

HARMLESS_RECORDS: dict[str, Callable[[Records], object]] = {
    "a name of other parts": _all(("name",), "x"),
    "a name of 5 MB": _all(("name",), "x" * 5_000_000),
    "an error of 5 MB": lambda records: [x.update(error="x" * 5_000_000) for x in records],
    "an error that is a page": lambda records: [
        x.update(error="<script>alert(1)</script>", traceback="</pre><img src=x onerror=y>")
        for x in records
    ],
    "control characters in a name": _all(("name",), "a\x1b[2Jb\r\n"),
    "no log": _without("scalars"),
    "fields of a later version": lambda records: [x.update(licence={"a": [1]}) for x in records],
    "notes of any shape": lambda records: [
        x.get("result", {}).update(notes={"a": [[], {}], "b": 1e308, "": None}) for x in records
    ],
    "a finish in no format": _all(("finished",), "yesterday"),
    "a log of 1e308": lambda records: [
        x.update(scalars=[{"step": 1e308, "loss": -1e308}, {"step": -1e308}]) for x in records
    ],
    "logs without steps": lambda records: [x.update(scalars=[{}, {"": 1.0}]) for x in records],
    "nothing but failures": lambda records: [
        (x.update(status="error", error="x"), x.pop("result", 0)) for x in records
    ],
    "an environment of odd texts": _all(("environment", "hardware"), "\u202e" * 500),
}
