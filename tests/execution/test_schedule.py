"""Which task is next: victims, then the cells of a trained victim, the longest first."""

import itertools

from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.store.record import Failure, Status
from harness.store.record_files import LatestRecords
from tests.helpers.timed_study import SECONDS, finished, latest_of, records_of_seed

CRASH = Failure(Status.CRASH, "it died")


def run_all(schedule, workers=2):
    """Run a schedule on workers that take one step at a time; return their tasks by step."""
    steps, victims = [], [None] * workers
    while True:
        tasks = [schedule.next(victim) for victim in victims]
        if not any(tasks):
            return steps
        steps.append(tasks)
        for i, task in enumerate(tasks):
            if task is not None:
                victims[i] = task.victim.key
                assert schedule.finish(task, finished(task.subject)) == []


def test_victims_come_first_then_their_cells_and_no_worker_idles(study):
    steps = run_all(Schedule(study, LatestRecords(), Selection()))
    tasks = [task for step in steps for task in step if task is not None]
    assert len(tasks) == len({task.key for task in tasks}) == 3 + 18
    trains = [task.cell is None for task in tasks[:4]]
    assert trains == [True, True, True, False]  # the third victim, beside a cell
    assert [step.count(None) for step in steps] == [0] * 10 + [1]


def test_a_worker_stays_with_its_victim_while_it_has_cells(study):
    steps = run_all(Schedule(study, LatestRecords(), Selection()), workers=1)
    victims = [step[0].victim.seed for step in steps[3:]]
    assert sum(a != b for a, b in itertools.pairwise(victims)) == 2


def test_the_longest_comes_first_by_what_earlier_cells_took(study):
    schedule = Schedule(study, latest_of(*records_of_seed(study, 0)), Selection())
    assert schedule.total_cells == 12
    assert schedule.forecast.remaining_seconds() == 2 * 30 + 4 * sum(SECONDS.values())
    steps = run_all(schedule, workers=1)
    names = [step[0].cell.defense.name for step in steps[2:8]]
    assert names == ["ft", "ft", "fp", "fp", "none", "none"]
    assert schedule.forecast.remaining_seconds() == 0


def test_what_was_just_learned_counts_and_the_larger_budget_is_the_longer(study):
    victim = records_of_seed(study, 0)[0]
    schedule = Schedule(study, latest_of(victim), Selection())
    order = []
    while task := schedule.next(order[-1].victim.key if order else None):
        cell = task.cell
        seconds = 1.0 if cell is None else SECONDS[cell.defense.name] * cell.budget.spc
        schedule.finish(task, finished(task.subject, seconds))
        order.append(task)
    first = [(task.cell.defense.name, task.cell.budget.spc) for task in order[2:8]]
    assert first == [("ft", 10), ("ft", 2), ("fp", 10), ("fp", 2), ("none", 10), ("none", 2)]


def test_cells_fail_with_their_victim(study):
    schedule = Schedule(study, LatestRecords(), Selection())
    task = schedule.next(None)
    failures = schedule.finish(task, task.failed(CRASH))
    assert {(x.status, x.error) for x in failures} == {(Status.ERROR, "its victim failed: it died")}
    assert len(failures) == 6
    again = Schedule(study, latest_of(task.failed(CRASH)), Selection())
    assert len(again.dependency_failures) == 6
    assert again.total_victims == 2


def test_a_victim_whose_files_are_gone_is_trained_again(study):
    latest = latest_of(finished(study.cells[0].victim))
    assert Schedule(study, latest, Selection()).total_victims == 2
    assert Schedule(study, latest, Selection(), lambda record: False).total_victims == 3


def test_the_last_stage_may_be_the_victims(study):
    schedule = Schedule(study, LatestRecords(), Selection(last_stage="victims"))
    assert (schedule.total_victims, schedule.total_cells) == (3, 0)
    assert [task.cell for step in run_all(schedule) for task in step if task] == [None] * 3
