from __future__ import annotations

import json
import multiprocessing
import resource
import signal

import numpy as np
import pytest

from harness.errors import UserError
from harness.store.record_files import LatestRecords, as_line, parsed, read_lines, write_packed
from harness.store.store import Store, StoreError


def record(key="a", finished="2026-01-01", **more):
    known = {"schema": 1, "key": key, "kind": "cell", "status": "ok", "finished": finished}
    return {**known, "scalars": [{"step": 0.0, "loss": 1.5}], **more}


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"scalars": []},
        {"scalars": [{"step": 1.0, "scalars": 2.0}]},
        {"result": {"acc": 0.5, "scalars": [{"x": 1}], "z": '"}], "scalars": ['}},
        {"error": 'a "quoted"\nline, "scalars": }', "name": "Größe"},
    ],
)
def test_a_record_survives_its_line(more):
    line = as_line(record(**more))
    again = parsed(line.encoded())
    assert again == line
    assert again.record() == record(**more)
    assert json.loads(line.encoded()) == record(**more)
    assert json.loads(line.text) == {k: x for k, x in record(**more).items() if k != "scalars"}


def test_lines_of_any_layout_are_read():
    text = json.dumps(record(result={"acc": 1.0}), sort_keys=True).encode()
    assert parsed(text).record() == record(result={"acc": 1.0})


def test_nan_is_not_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        Store(tmp_path).append(record(wall_seconds=float("nan")))
    assert list(Store(tmp_path).lines()) == []


def test_an_unfinished_last_line_is_left_out_and_a_broken_one_is_told(tmp_path):
    store = Store(tmp_path)
    store.append(record())
    path = store.record_files()[0]
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:50])
    assert [line.key for line in store.lines()] == ["a"]
    path.write_bytes(whole + whole[:50] + b"\n" + whole)
    with pytest.raises(UserError, match=r"\.jsonl:2: not a record"):
        list(store.lines())


def test_the_newest_record_of_a_key_counts():
    lines = [as_line(record(finished=f"2026-01-0{day}", day=day)) for day in (2, 3, 1)]
    latest = LatestRecords(lines)
    assert latest["a"]["day"] == 3
    assert latest["a"]["scalars"] == []
    assert LatestRecords(lines, scalars=True)["a"]["scalars"] == lines[1].record()["scalars"] != []
    assert (latest.status("a"), latest.finished("a")) == ("ok", "2026-01-03")
    assert (latest.status("b"), latest.finished("b")) == ("missing", "")
    latest["b"] = record("b", status="oom")
    assert (latest.status("b"), sorted(latest)) == ("oom", ["a", "b"])


def test_the_whole_newest_record_is_found(tmp_path):
    store = Store(tmp_path)
    for day in (1, 2):
        store.append(record(finished=f"2026-01-0{day}"))
    assert store.newest("a") == record(finished="2026-01-02")
    assert store.newest("b") is None


def test_packed_lines_are_the_same_lines(tmp_path):
    lines = [as_line(record(str(i), name="é")) for i in range(3)]
    write_packed(lines, tmp_path / "x.parquet")
    assert list(read_lines(tmp_path / "x.parquet")) == lines
    write_packed([], tmp_path / "y.parquet")
    assert list(read_lines(tmp_path / "y.parquet")) == []


def test_no_record_is_written_in_part(tmp_path):
    store = Store(tmp_path)
    store.append(record())
    size = store.record_files()[0].stat().st_size
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN  # as Python has it
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 20, before[1]))
    try:
        with pytest.raises(StoreError):
            store.append(record("b"))
        with pytest.raises(StoreError, match="File too large"):
            store.put({"x": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert store.record_files()[0].stat().st_size == size
    assert list(store.artifacts_folder.glob("*/*")) == []
    store.append(record("b"))
    assert sorted(store.latest()) == ["a", "b"]


def _write(folder, first):
    store = Store(folder)
    for i in range(first, first + 50):
        store.append(record(str(i)))
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
