from __future__ import annotations

import json
import multiprocessing
import resource
import signal

import numpy as np
import pytest

from harness.errors import UserError
from harness.store.record import Status, to_json
from harness.store.record_files import (
    LatestRecords,
    parse_line,
    read_lines,
    to_line,
    write_packed,
)
from harness.store.store import Store, StoreError
from tests.helpers.records import cell_of_no_study as cell
from tests.helpers.records import cell_result


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"scalars": []},
        {"scalars": [{"step": 1.0, "scalars": 2.0}]},
        {"result": cell_result(notes={"scalars": [{"x": 1}], "z": '"}], "scalars": ['})},
        {"error": 'a "quoted"\nline, "scalars": }', "name": "Größe"},
    ],
)
def test_a_record_survives_its_line(changes):
    record = cell(**changes)
    line = to_line(record)
    again = parse_line(line.encoded())
    assert again == line
    assert again.record() == record
    assert json.loads(line.encoded()) == to_json(record)
    assert json.loads(line.text) == {k: x for k, x in to_json(record).items() if k != "scalars"}


def test_lines_of_any_layout_are_read():
    text = json.dumps(to_json(cell()), sort_keys=True).encode()
    line = parse_line(text)
    assert line.record() == cell()
    assert b"loss" not in line.text
    without = {k: x for k, x in to_json(cell()).items() if k != "scalars"}
    assert parse_line(json.dumps(without).encode()).record() == cell(scalars=[])


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        Store(tmp_path).append(cell(wall_seconds=float("nan")))
    assert list(Store(tmp_path).lines()) == []


def test_a_line_that_is_no_record_of_this_version_is_a_users_mistake():
    line = to_line(cell())
    with pytest.raises(UserError, match=r"record a: .*missing required field `asr`"):
        line._replace(text=line.text.replace(b'"asr"', b'"asrr"')).record()


def test_an_unfinished_last_line_is_left_out_and_a_broken_one_is_told(tmp_path):
    store = Store(tmp_path)
    store.append(cell())
    path = store.record_files()[0]
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    assert [line.key for line in store.lines()] == ["a"]
    path.write_bytes(whole + whole[:50] + b"\n" + whole)
    with pytest.raises(UserError, match=r"\.jsonl:2: not a record"):
        list(store.lines())


def test_a_whole_last_line_counts_without_its_end(tmp_path):
    store = Store(tmp_path)
    store.append(cell())
    path = store.record_files()[0]
    path.write_bytes(path.read_bytes().rstrip())
    assert [line.key for line in store.lines()] == ["a"]


def test_all_damaged_lines_are_named_at_once(tmp_path):
    store = Store(tmp_path)
    store.append(cell())
    first = store.record_files()[0]
    first.write_bytes(b"{oh\n" * 7 + first.read_bytes())
    (tmp_path / "records" / "z.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError) as caught:
        list(store.lines())
    lines = str(caught.value).splitlines()
    assert [line.partition(": ")[0] for line in lines[:5]] == [f"{first}:{i}" for i in range(1, 6)]
    assert "delete it, and a run computes its result again" in lines[0]
    assert lines[5] == f"{first}: and 2 more"
    assert lines[6].startswith(f"{tmp_path / 'records' / 'z.parquet'}: damaged (")
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b'"schema": 1', b'"schema": 99', "a record of a later version"),
        (b'"schema": 1', b'"schema": 99, "spec": 5', "a record of a later version"),
        (b'"acc": 0.9', b'"acc": NaN', "not a record: JSON is malformed"),
        (b'"acc": 0.9', b'"acc": 1e999', "Number out of range"),
        (b'"acc": 0.9', b'"acc": 7', "<= 1.0"),
        (b'"seconds": 1.0', b'"seconds": 1e300', "<= 10000000000.0"),
        (b"1" * 32, b"/etc/passwd", "matching regex"),
        (b"1" * 32, b"../../../x", "matching regex"),
        (b'"result": ', b'"outcome": ', "status ok, but no result"),
        (b'"loss": 1.5', b'"loss": "x"', "Expected `float`, got `str`"),
        (b'"name": "', b'"name": "\\ud800', "surrogate"),
        (b'"name": ', b'"z": ' + b"[" * 5000 + b"]" * 5000 + b', "name": ', "recursion"),
    ],
)
def test_no_damaged_record_is_taken(tmp_path, old, new, fault):
    store = Store(tmp_path)
    store.append(cell())
    path = store.record_files()[0]
    assert old in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(old, new, 1))
    with pytest.raises(UserError, match=rf"\.jsonl:1: .*{fault}"):
        list(store.lines())


def test_a_record_of_the_other_kind_is_refused():
    latest = LatestRecords([to_line(cell())])
    with pytest.raises(UserError, match="record a: of a cell, where one of a victim belongs"):
        latest.victim("a")


def test_the_newest_record_of_a_key_counts():
    lines = [to_line(cell(finished=f"2026-01-0{day}", wall_seconds=day)) for day in (2, 3, 1)]
    latest = LatestRecords(lines)
    assert latest["a"].wall_seconds == 3
    assert latest["a"].scalars == []
    assert latest["a"] is latest["a"]  # decoded once
    assert LatestRecords(lines, scalars=True)["a"].scalars == lines[1].record().scalars != []
    assert (latest.status("a"), latest.finished("a")) == (Status.OK, "2026-01-03")
    assert (latest.status("b"), latest.finished("b"), latest.cell("b")) == (None, "", None)
    latest.add(cell("b", status=Status.OOM))
    assert (latest.status("b"), sorted(latest)) == (Status.OOM, ["a", "b"])
    assert latest.cell("b").scalars == []


def test_the_whole_newest_record_is_found(tmp_path):
    store = Store(tmp_path)
    for day in (1, 2):
        store.append(cell(finished=f"2026-01-0{day}"))
    assert store.newest("a") == cell(finished="2026-01-02")
    assert store.newest("b") is None


def test_packed_lines_are_the_same_lines(tmp_path):
    lines = [to_line(cell(str(i), name="é")) for i in range(3)]
    write_packed(lines, tmp_path / "x.parquet")
    assert list(read_lines(tmp_path / "x.parquet")) == lines
    write_packed([], tmp_path / "y.parquet")
    assert list(read_lines(tmp_path / "y.parquet")) == []


def test_no_record_is_written_in_part(tmp_path):
    store = Store(tmp_path)
    store.append(cell())
    size = store.record_files()[0].stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python has it
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(StoreError):
            store.append(cell("b"))
        with pytest.raises(StoreError, match="File too large"):
            store.put({"x": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.record_files()[0].stat().st_size == size
    assert list(store.artifacts_folder.glob("*/*")) == []
    store.append(cell("b"))
    assert sorted(store.latest()) == ["a", "b"]


def _write(folder, first):
    store = Store(folder)
    for i in range(first, first + 50):
        store.append(cell(str(i)))
        store.put({"x": np.arange(i % 5)})


def test_writers_do_not_disturb_each_other(tmp_path):
    context = multiprocessing.get_context("forkserver")
    writers = [context.Process(target=_write, args=(tmp_path, first)) for first in (0, 25, 50)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store = Store(tmp_path)
    assert sorted(map(int, store.latest())) == list(range(100))
    assert len(list(store.lines())) == 150
    names = [path.name for path in store.artifacts_folder.glob("*/*")]
    assert sorted(len(store.get(name)["x"]) for name in names) == list(range(5))
