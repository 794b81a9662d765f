"""What a run shows while it runs."""

import io

import pytest
from rich.console import Console

from harness.execution.progress import Progress
from harness.execution.readable import clock
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import Slot
from harness.store.record import Failure, Run, Status
from harness.store.record_files import LatestRecords
from harness.study.load import load_study
from tests.helpers import failing_defenses, records

SLOTS = [Slot("cpu", 1, f"cpu {i}") for i in range(2)]


@pytest.fixture
def study(tmp_path):
    return load_study(failing_defenses.study(tmp_path, bad=()))


def ok(task):
    return records.ok(task.subject, run=Run(60.0), acc=0.9, asr=0.5, ra=0.25)


def console(**how):
    return Console(file=io.StringIO(), width=120, **how)


def shown(renderable):
    out = console()
    out.print(renderable)
    return out.file.getvalue()


def test_plain_lines_when_piped(study):
    out, schedule = console(), Schedule(study, LatestRecords(), Selection())
    with Progress(out, schedule, lambda: 2) as progress:
        victim = schedule.next(None)
        progress.on_start(victim, SLOTS[0])
        schedule.finish(victim, ok(victim))
        progress.on_finish(ok(victim))
        eta = clock(schedule.forecast.remaining_seconds() / 2)
        cell = schedule.next(None)
        progress.on_start(cell, SLOTS[0])
        progress.on_finish(cell.failed(Failure(Status.CRASH, "it died")))
    name = "digits / preactresnet18 / badnets / rate 0.1 / seed 0"
    assert out.file.getvalue().splitlines() == [
        "to do  victims: 1, cells: 2, workers: 2  (ETA 0:00, failed 0)",
        str(schedule.demand),
        f"[1/3] victim  {name}  ACC  90.0  ASR  50.0  RA  25.0  60.0 s  (ETA {eta}, failed 0)",
        f"[2/3] {cell.name}  crash: it died  (defuse logs {study.path} {cell.key[:10]})",
    ]


def test_a_terminal_shows_every_slot_and_what_fails(study):
    out, schedule = console(force_terminal=True), Schedule(study, LatestRecords(), Selection())
    progress = Progress(out, schedule, lambda: 2)
    victim = schedule.next(None)
    schedule.finish(victim, ok(victim))
    progress.on_finish(ok(victim))
    tasks = [schedule.next(None), schedule.next(None)]
    for slot, task in zip(SLOTS, tasks, strict=True):
        progress.on_start(task, slot)
    text = shown(progress._screen())
    for part in ("victims", "1/1", "cells", "0/2", "cpu 0", "cpu 1", "failed: none"):
        assert part in text
    assert all(task.name in text for task in tasks)
    progress.on_finish(tasks[0].failed(Failure(Status.OOM, "no memory")))
    text = shown(progress._screen())
    assert "failed: 1 oom" in text
    assert tasks[0].name not in text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (61, "1:01"), (3723, "1:02:03")])
def test_clock(seconds, text):
    assert clock(seconds) == text
