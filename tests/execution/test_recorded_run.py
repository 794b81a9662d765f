"""The time left, on a recorded run of the quickstart: within a factor of two from a tenth on."""

import json
from pathlib import Path

import pytest

from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.store.record import Run
from harness.store.record_files import LatestRecords
from harness.study.load import load_study
from tests.helpers import records

SECONDS = json.loads((Path(__file__).parent / "recorded_seconds.json").read_text(encoding="utf-8"))
"""Seconds of every task, by its name without data set, architecture and rate."""


def replay():
    """Run the quickstart on one worker, each task in its recorded time.

    Return the seconds in all, and after every task the seconds spent and the estimate of the rest.
    """
    schedule = Schedule(load_study("quickstart"), LatestRecords(), Selection())
    spent, steps, victim = 0.0, [], None
    while task := schedule.next(victim):
        name = task.name.replace("digits / preactresnet18 / ", "").replace("rate 0.1 / ", "")
        victim, run = task.victim.key, Run(SECONDS[name])
        schedule.finish(task, records.ok(task.subject, run=run, asr=0.95))
        spent += SECONDS[name]
        steps.append((spent, schedule.forecast.remaining_seconds()))
    return spent, steps


@pytest.fixture(scope="module")
def run():
    return replay()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.75])
def test_the_estimate_is_within_a_factor_of_two(run, share):
    total, steps = run
    spent, estimate = next(step for step in steps if step[0] >= share * total)
    assert 0.5 < estimate / (total - spent) < 2


def test_every_task_has_its_recorded_seconds(run):
    assert run[0] == pytest.approx(sum(SECONDS.values()))
