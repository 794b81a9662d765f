"""How far a study is, seen from another terminal."""

import io
from collections import Counter

import pytest
from rich.console import Console

from harness.execution.watch import follow, screen
from harness.store.record import Run, now
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import failing_defenses, records
from tests.helpers.timed_study import latest_of


@pytest.fixture
def study(tmp_path):
    return load_study(failing_defenses.study(tmp_path, bad=()))


def console():
    return Console(file=io.StringIO(), width=120)


def test_a_watcher_sees_the_store_and_the_queue(study):
    cell, out = study.cells[0], console()
    run = Run(60.0)
    latest = latest_of(*(records.ok(x, run=run, finished=now()) for x in (cell.victim, cell)))
    out.print(screen(study, latest, Counter(running=2, pending=1)))
    text = out.file.getvalue()
    for part in ("victims", "1/1", "cells", "1/2"):
        assert part in text
    assert "0.1 cells a minute over the last 10   ETA 0:" in text
    assert "failed: none" in text
    assert "of disk; on a GPU" in text
    assert "queue: 1 pending, 2 running" in text


def test_watching_ends_with_the_last_cell(study, tmp_path):
    store, out = Store(tmp_path / "store"), console()
    for planned in (study.cells[0].victim, *study.cells):
        store.append(records.ok(planned))
    follow(study, store, out)
    assert "2/2" in out.file.getvalue()
