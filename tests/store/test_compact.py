"""Packing a study's records changes no record, and no file that may still grow."""

import os
import time

import msgspec
from click.testing import CliRunner

from harness.cli.main import cli
from harness.execution.study_progress import study_progress
from harness.store.compact import compact
from tests.helpers.filled_store import everything, fill, record, subjects


def test_packed_records_are_read_by_everything(plan, tmp_path):
    store = fill(plan, tmp_path / "out" / "store")
    first = subjects(plan)[0]
    store.append(msgspec.structs.replace(record(first, store), key="of another study"))
    before, latest = everything(store), dict(store.latest())
    packed = compact(store, plan.name, plan.keys())
    assert (packed.records, packed.files) == (6, 1)
    assert [x.suffix for x in store.record_files()] == [".jsonl", ".parquet"]
    assert len(store.record_files()[0].read_bytes().splitlines()) == 1
    assert everything(store) == before
    assert dict(store.latest()) == latest
    assert study_progress(plan, store.latest()).cells == {"ok": 4}
    assert compact(store, plan.name, plan.keys()).path is None
    store.append(record(first, store, finished="2026-01-02"))
    assert compact(store, plan.name, plan.keys()).records == 7
    assert len(store.record_files()) == 2
    assert store.newest(first.key).finished == "2026-01-02"
    arguments = ["status", plan.path, "--out", str(tmp_path / "out")]
    shown = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert f"{plan.name}: 4 cells: 4 ok" in shown.output


def test_scalars_are_packed_too(plan, tmp_path):
    store, cell = fill(plan, tmp_path), plan.cells[0]
    scalars = [{"step": 1.0, "loss": 0.5}]
    made = record(cell, store, finished="2026-01-02")
    store.append(msgspec.structs.replace(made, scalars=scalars))
    compact(store, plan.name, plan.keys())
    assert store.newest(cell.key).scalars == scalars
    assert store.latest()[cell.key].scalars == []
    assert store.latest(scalars=True)[cell.key].scalars == scalars


def test_files_that_may_still_grow_are_left_alone(plan, tmp_path):
    store = fill(plan, tmp_path)
    mine = store.record_files()[0]
    host = mine.stem.rsplit("-", 2)[0]
    running = mine.with_name(f"{host}-1-00000000.jsonl")  # process 1 always runs
    abroad = mine.with_name("elsewhere-2-00000000.jsonl")
    for target in (running, abroad):
        mine.rename(target)
        assert compact(store, plan.name, plan.keys()).path is None
        target.rename(mine)
    mine.rename(abroad)
    os.utime(abroad, (time.time() - 7200, time.time() - 7200))
    assert compact(store, plan.name, plan.keys()).records == 6
