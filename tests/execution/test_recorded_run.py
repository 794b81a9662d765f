"""The time left, on recorded runs: within a factor of two from a tenth on."""

import json
from pathlib import Path

import pytest

from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.store.record import Run
from harness.store.record_files import LatestRecords
from harness.study.load import load_study
from tests.helpers import records

RECORDED = Path(__file__).parent / "recorded"
"""Seconds of every task, by its name without data set, architecture and rate."""
STUDIES = {"quickstart": "quickstart", "many_cells": RECORDED / "many_cells.yaml"}


def replay(name):
    """Run a study on one worker, each task in its recorded time, after which none is left.

    Return the seconds in all, and after every task the seconds spent and the estimate of the rest.
    """
    seconds = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    schedule = Schedule(load_study(STUDIES[name]), LatestRecords(), Selection())
    spent, steps, victim = 0.0, [], None
    while task := schedule.next(victim):
        parts = [x for x in task.name.split(" / ")[2:] if not x.startswith("rate ")]
        took = seconds.pop(" / ".join(parts))
        victim = task.victim.key
        schedule.finish(task, records.ok(task.subject, run=Run(took), asr=0.95))
        spent += took
        steps.append((spent, schedule.forecast.remaining_seconds()))
    assert not seconds
    return spent, steps


@pytest.fixture(scope="module", params=STUDIES)
def run(request):
    return replay(request.param)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_the_estimate_is_within_a_factor_of_two(run, share):
    total, steps = run
    spent, estimate = next(step for step in steps if step[0] >= share * total)
    assert 0.5 < estimate / (total - spent) < 2
