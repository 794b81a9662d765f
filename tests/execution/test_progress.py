from __future__ import annotations

import io
from collections import Counter
from datetime import UTC, datetime

import pytest
from rich.console import Console

from harness.data.cache import default_cache
from harness.execution.progress import Progress, clock
from harness.execution.schedule import Schedule, Selection, failure
from harness.execution.slots import Slot
from harness.execution.task import Task
from harness.execution.watch import follow, screen
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import failing_defenses

SLOTS = [Slot("cpu", 1, f"cpu {i}") for i in range(2)]


@pytest.fixture
def plan(tmp_path):
    return load_study(failing_defenses.study(tmp_path, bad=()), None, default_cache())


def ok(task):
    scores = {"acc": 0.9, "asr": 0.5, "ra": 0.25}
    ended = {"finished": datetime.now(UTC).isoformat(), "wall_seconds": 60.0, "scalars": []}
    return {**task.head(), "status": "ok", "result": scores, **ended}


def console(**how):
    return Console(file=io.StringIO(), width=120, **how)


def shown(renderable):
    out = console()
    out.print(renderable)
    return out.file.getvalue()


def test_plain_lines_when_piped(plan):
    out, schedule = console(), Schedule(plan, LatestRecords(), Selection())
    with Progress(out, schedule, 2) as progress:
        victim = schedule.next(None)
        progress.started(victim, SLOTS[0])
        schedule.ended(victim, ok(victim))
        progress.ended(ok(victim))
        cell = schedule.next(None)
        progress.started(cell, SLOTS[0])
        progress.ended(failure(cell, "crash", "it died"))
    name = "digits / preactresnet18 / badnets / rate 0.1 / seed 0"
    assert out.file.getvalue().splitlines() == [
        "to do  victims: 1, cells: 2, workers: 2",
        f"[1/3] victim  {name}  ACC  90.0  ASR  50.0  RA  25.0  60.0 s  (ETA 1:00, failed 0)",
        f"[2/3] {name} / none / SPC 2  crash: it died",
    ]


def test_a_terminal_shows_every_slot_and_what_fails(plan):
    out, schedule = console(force_terminal=True), Schedule(plan, LatestRecords(), Selection())
    progress = Progress(out, schedule, 2)
    victim = schedule.next(None)
    schedule.ended(victim, ok(victim))
    progress.ended(ok(victim))
    tasks = [schedule.next(None), schedule.next(None)]
    for slot, task in zip(SLOTS, tasks, strict=True):
        progress.started(task, slot)
    text = shown(progress._screen())
    assert [
        part in text
        for part in ("victims", "1/1", "cells", "0/2", "cpu 0", "cpu 1", "failed: none")
    ] == [True] * 7
    assert all(task.name in text for task in tasks)
    progress.ended(failure(tasks[0], "oom", "no memory"))
    text = shown(progress._screen())
    assert "failed: 1 oom" in text
    assert tasks[0].name not in text


def test_a_watcher_sees_the_store_and_the_queue(plan):
    latest = LatestRecords()
    for task in (Task(plan.cells[0].victim), Task(plan.cells[0].victim, plan.cells[0])):
        latest[task.key] = ok(task)
    text = shown(screen(plan, latest, Counter(running=2, pending=1)))
    assert [part in text for part in ("victims", "1/1", "cells", "1/2")] == [True] * 4
    assert "0.1 cells a minute over the last 10   ETA 10:00   failed: none" in text
    assert "queue: 1 pending, 2 running" in text


def test_watching_ends_with_the_last_cell(plan, tmp_path):
    store, out = Store(tmp_path / "store"), console()
    for task in (Task(plan.cells[0].victim), *(Task(cell.victim, cell) for cell in plan.cells)):
        store.append(ok(task))
    follow(plan, store, out)
    assert "2/2" in out.file.getvalue()


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert clock(seconds) == text
