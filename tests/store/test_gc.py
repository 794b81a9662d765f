"""Garbage collection frees what no study needs, shows it first, and never touches a record."""

from dataclasses import replace

import numpy as np
from click.testing import CliRunner

from harness.cli.main import cli
from harness.cli.store import needed_by
from harness.store.gc import delete_garbage, find_garbage
from harness.store.record import Status
from harness.store.record_files import LatestRecords, RecordLine
from tests.helpers.filled_store import age, everything, fill, record


def test_only_what_no_study_needs_is_freed(plan, tmp_path):
    store, cache = fill(plan, tmp_path / "store"), tmp_path / "cache"
    store.append(record(plan.cells[-1], store, finished="2027"))  # replaces an older one
    leftover = next(store.artifacts_folder.glob("*/*")).with_name(".x.safetensors.0123abcd")
    leftover.write_bytes(b"half")
    foreign = leftover.with_name(".profile")  # the folder may be a link to a home
    foreign.write_text("of somebody else")
    for name in (plan.cells[0].victim.data.digest, "0123456789abcdef", "index"):
        (cache / name).mkdir(parents=True)
    assert find_garbage(store, cache) == []  # all of it is young
    age(store.folder)
    age(cache)
    assert sorted(x.kind for x in find_garbage(store, cache)) == ["leftover", "unreferenced"]
    less = needed_by([replace(plan, cells=[cell for cell in plan.cells if cell.seed == 0])])
    garbage = find_garbage(store, cache, less)
    kinds = sorted(x.kind for x in garbage)
    assert kinds == ["data set", "leftover", "predictions", "predictions", "unreferenced", "victim"]
    before = everything(store)
    delete_garbage(garbage)
    assert find_garbage(store, cache, less) == []
    assert everything(store) == before
    assert foreign.exists()
    kept = {cell.seed: store.has_artifacts(store.latest()[cell.victim.key]) for cell in plan.cells}
    assert kept == {0: True, 1: False}
    assert {x.name for x in cache.iterdir()} == {plan.cells[0].victim.data.digest, "index"}


def test_artifacts_in_a_role_of_a_later_version_are_kept():
    text = b'{"result": {"artifacts": {"predictions": "a", "attention": "b"}}}'
    line = RecordLine("k", "cell", Status.OK, "2026", text)
    assert LatestRecords([line]).artifacts("k") == {"predictions": "a", "attention": "b"}


def test_gc_shows_first_and_deletes_when_told(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFUSE_CACHE", str(tmp_path / "cache"))
    store = fill(plan, tmp_path / "store")
    orphan = store.path_of(store.put({"x": np.zeros(3)}))
    age(store.folder)
    for options, there in ((), True), (("--delete",), False):
        done = CliRunner().invoke(
            cli, ["gc", "--out", str(tmp_path), *options], standalone_mode=False
        )
        assert str(orphan) in done.output.replace("\n", "")
        assert orphan.exists() == there
