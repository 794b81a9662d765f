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
