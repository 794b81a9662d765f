"""The store is whole after anything: races, kills in the middle of a line, a full disk, damage."""

import multiprocessing
import resource
import signal

import numpy as np
import pytest

from harness.errors import UserError
from harness.store.store import Store
from tests.helpers.records import cell_of_no_study as cell


def write_many(folder, writer):
    store = Store(folder)
    for i in range(50):
        store.append(cell(f"{writer}-{i}", traceback="x" * 3000))
        store.put({"same": np.arange(i)})


def test_eight_processes_race_and_nothing_is_lost(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_many, args=(tmp_path, i)) for i in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    store = Store(tmp_path)
    assert len(store.latest()) == 400
    assert len(list(store.artifacts_folder.rglob("*.safetensors"))) == 50
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


def test_a_writer_killed_in_the_middle_of_a_line_leaves_the_whole_ones(tmp_path):
    store = Store(tmp_path)
    store.append(cell("a"))
    path = next(store.records_folder.iterdir())
    path.write_bytes(path.read_bytes() + b'{"key": "b", "sta')
    assert set(Store(tmp_path).latest()) == {"a"}
    other = Store(tmp_path)
    other.append(cell("b"))
    assert set(other.latest()) == {"a", "b"}


def test_a_broken_line_that_is_not_the_last_is_told(tmp_path):
    store = Store(tmp_path)
    store.append(cell("a"))
    path = next(store.records_folder.iterdir())
    path.write_bytes(b"{oh\n" + path.read_bytes())
    with pytest.raises(UserError, match=r"\.jsonl:1: not a record"):
        list(store.lines())
    (said,) = store.latest().damaged
    assert said.startswith(f"left out: {path}:1: not a record")


def test_the_newest_record_of_a_key_counts_wherever_it_stands(tmp_path):
    Store(tmp_path).append(cell(finished="2026-02-02", wall_seconds=2))
    Store(tmp_path).append(cell(finished="2026-01-01", wall_seconds=1))
    assert Store(tmp_path).latest()["a"].wall_seconds == 2


def test_a_full_disk_leaves_no_part_of_a_line(tmp_path):
    store = Store(tmp_path)
    store.append(cell("a"))
    path = next(store.records_folder.iterdir())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    heard = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
        with pytest.raises(OSError, match=r"No space left|File too large"):
            store.append(cell("b", traceback="x" * 5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, heard)
    assert path.read_bytes().endswith(b"}\n")
    store.append(cell("c"))
    assert set(Store(tmp_path).latest()) == {"a", "c"}


@pytest.mark.parametrize("compress", [False, True])
def test_artifacts_come_back_as_they_were(tmp_path, compress):
    store = Store(tmp_path)
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array([1, 2], dtype=np.uint16),
    }
    name = store.put(arrays, compress=compress)
    assert store.put(arrays, compress=compress) == name
    loaded = store.get(name)
    assert {k: (x.tolist(), x.dtype) for k, x in loaded.items()} == {
        k: (x.tolist(), x.dtype) for k, x in arrays.items()
    }


def test_damaged_and_missing_artifacts_are_one_line(tmp_path):
    store = Store(tmp_path)
    name = store.put({"a": np.zeros(3)})
    path = next(store.artifacts_folder.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match="damaged: its content is not what its name says"):
        store.get(name)
    path.unlink()
    with pytest.raises(UserError, match="cannot be read"):
        store.get(name)
