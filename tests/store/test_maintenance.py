from __future__ import annotations

import json
import os
import time
from dataclasses import replace

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from harness.cli.main import cli
from harness.data.cache import default_cache
from harness.errors import UserError
from harness.execution.run import state
from harness.execution.task import Task
from harness.store.compact import compact
from harness.store.gc import free, waste
from harness.store.merge import merge
from harness.store.store import Store
from harness.study.load import load_study


@pytest.fixture
def path(tmp_path):
    content = {
        "data": ["digits"],
        "models": ["preactresnet18"],
        "attacks": ["badnets"],
        "defenses": ["none", "ft"],
        "budgets": [{"spc": 2}],
        "seeds": [0, 1],
    }
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def plan(path):
    return load_study(path, None, default_cache())


def tasks(plan):
    return [
        *(Task(victim) for victim in plan.victims().values()),
        *(Task(x.victim, x) for x in plan.cells),
    ]


def record(task, store, finished="2026-01-01T00:00:00", version=None):
    """Return an ok record of a task, with an artifact of its own."""
    role = "model" if task.cell is None else "predictions"
    name = store.put(
        {role: np.frombuffer(f"{task.key}{finished}".encode(), np.uint8)}, compress=True
    )
    head = task.head()
    if version is not None and task.cell is not None:
        head["spec"] = {**head["spec"], "defense": {**head["spec"]["defense"], "version": version}}
    result = {"acc": 0.5, "asr": 0.5, "ra": 0.5, "artifacts": {role: name}}
    scalars = [{"step": 1.0, "loss": 0.5}]
    return {
        **head,
        "status": "ok",
        "result": result,
        "finished": finished,
        "wall_seconds": 1.0,
        "scalars": scalars,
    }


def fill(plan, folder, **more):
    store = Store(folder)
    for task in tasks(plan):
        store.append(record(task, store, **more))
    return store


def everything(store):
    return sorted(json.dumps(x, sort_keys=True) for x in store.records())


def aged(store):
    for path in store.folder.rglob("*"):
        os.utime(path, (1, 1))


def test_packed_records_are_read_by_everything(plan, path, tmp_path):
    store = fill(plan, tmp_path / "out" / "store")
    other = {**record(tasks(plan)[0], store), "key": "of another study"}
    store.append(other)
    before, latest = everything(store), dict(store.latest())
    packed = compact(plan, store)
    assert (packed.records, packed.files) == (6, 1)
    assert [x.suffix for x in store.record_files()] == [".jsonl", ".parquet"]
    assert len(store.record_files()[0].read_bytes().splitlines()) == 1
    assert everything(store) == before
    assert dict(store.latest()) == latest
    assert state(plan, store.latest()).cells == {"ok": 4}
    assert store.newest(plan.cells[0].key)["scalars"] == [{"step": 1.0, "loss": 0.5}]
    assert compact(plan, store).path is None
    store.append(record(tasks(plan)[0], store, finished="2026-01-02"))
    assert compact(plan, store).records == 7
    assert len(store.record_files()) == 2
    assert store.newest(plan.cells[0].victim.key)["finished"] == "2026-01-02"
    shown = CliRunner().invoke(
        cli, ["status", str(path), "--out", str(tmp_path / "out")], standalone_mode=False
    )
    assert "study: 4 cells: 4 ok" in shown.output


def test_files_that_may_still_grow_are_left_alone(plan, tmp_path):
    store = fill(plan, tmp_path)
    mine = store.record_files()[0]
    running = mine.with_name(
        f"{mine.stem.rsplit('-', 2)[0]}-1-00000000.jsonl"
    )  # process 1 always runs
    abroad = mine.with_name("elsewhere-2-00000000.jsonl")
    for target in (running, abroad):
        mine.rename(target)
        assert compact(plan, store).path is None
        target.rename(mine)
    mine.rename(abroad)
    os.utime(abroad, (time.time() - 7200, time.time() - 7200))
    assert compact(plan, store).records == 6


def test_stores_are_joined_once(plan, tmp_path):
    first, second = Store(tmp_path / "a"), Store(tmp_path / "b")
    for i, task in enumerate(tasks(plan)):
        for store in (first, second)[i % 2 :][: 1 if i else 2]:
            store.append(record(task, store))
    merged = merge(first, second)
    assert (merged.records, merged.artifacts) == (3, 3)
    assert state(plan, first.latest()).cells == {"ok": 4}
    assert all(first.holds(x) for x in first.latest().values())
    assert merge(first, second) == (0, 0)
    assert len(list(first.lines())) == 6


def test_other_versions_do_not_join_unless_told(plan, tmp_path):
    first = fill(plan, tmp_path / "a")
    second = fill(plan, tmp_path / "b", version=7, finished="2026-02-01")
    before = everything(first)
    with pytest.raises(
        UserError, match=r"(?s)defense ft: version 7 in \S*b, but 1 in \S*a\n.*--mixed-versions"
    ):
        merge(first, second)
    assert everything(first) == before
    assert merge(first, second, mixed=True).records == 6


def test_a_damaged_artifact_stops_a_merge(plan, tmp_path):
    first, second = Store(tmp_path / "a"), fill(plan, tmp_path / "b")
    next(second.artifacts_folder.glob("*/*")).write_bytes(b"no")
    with pytest.raises(UserError, match=r"cannot be read|damaged"):
        merge(first, second)
    assert list(first.lines()) == []
    with pytest.raises(UserError, match="no store with records"):
        merge(first, Store(tmp_path / "nothing"))


def test_only_what_no_study_needs_is_freed(plan, tmp_path):
    store, cache = fill(plan, tmp_path / "store"), tmp_path / "cache"
    store.append(record(tasks(plan)[-1], store, finished="2027"))  # takes the place of an older one
    leaving = next(store.artifacts_folder.glob("*/*")).with_name(".x.safetensors.0123abcd")
    leaving.write_bytes(b"half")
    for name in (plan.cells[0].victim.data.digest, "0123456789abcdef", "index"):
        (cache / name).mkdir(parents=True)
    assert waste(store, [], cache) == []  # all of it is young
    aged(store)
    for folder in cache.iterdir():
        os.utime(folder, (1, 1))
    assert sorted(x.kind for x in waste(store, [], cache)) == ["leaving", "unreferenced"]
    less = replace(plan, cells=[cell for cell in plan.cells if cell.seed == 0])
    found = waste(store, [less], cache)
    kinds = sorted(x.kind for x in found)
    assert kinds == ["data set", "leaving", "predictions", "predictions", "unreferenced", "victim"]
    before = everything(store)
    free(found)
    assert waste(store, [less], cache) == []
    assert everything(store) == before
    held = {cell.seed: store.holds(store.latest()[cell.victim.key]) for cell in plan.cells}
    assert held == {0: True, 1: False}
    assert sorted(x.name for x in cache.iterdir()) == sorted(
        [plan.cells[0].victim.data.digest, "index"]
    )


def test_gc_shows_first_and_deletes_when_told(plan, tmp_path, monkeypatch):
    monkeypatch.setenv("DEFUSE_CACHE", str(tmp_path / "cache"))
    store = fill(plan, tmp_path / "store")
    orphan = store.path_of(store.put({"x": np.zeros(3)}))
    aged(store)
    for options, there in ((), True), (("--delete",), False):
        done = CliRunner().invoke(
            cli, ["gc", "--out", str(tmp_path), *options], standalone_mode=False
        )
        assert str(orphan) in done.output.replace("\n", "")
        assert orphan.exists() == there
