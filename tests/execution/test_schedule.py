from __future__ import annotations

import itertools
import sys

import pytest
import yaml

from harness.data.cache import default_cache
from harness.errors import UserError
from harness.execution.durations import DurationEstimator
from harness.execution.schedule import Schedule, Selection, failure
from harness.execution.slots import HardwareRequest, measured_mb, per_gpu, slots_for
from harness.execution.task import Task
from harness.store.record_files import LatestRecords
from harness.study.load import load_study

SECONDS = {"none": 1.0, "ft": 20.0, "fp": 5.0}


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "study.yaml"
    content = {
        "data": ["digits"],
        "models": [{"preactresnet18": {"width": 4}}],
        "recipe": "fast",
        "attacks": ["badnets"],
        "defenses": list(SECONDS),
        "budgets": [{"spc": 2}, {"spc": 10}],
        "seeds": [0, 1, 2],
    }
    path.write_text(yaml.safe_dump(content))
    return load_study(path, None, default_cache())


def ok(task, seconds=1.0, finished="2026-01-01"):
    return {
        **task.head(),
        **{
            "status": "ok",
            "result": {"peak_mem_mb": 1000.0},
            "wall_seconds": seconds,
            "finished": finished,
        },
        "environment": {"device": "cuda"},
    }


def known(plan, seed):
    """Return the records of one seed, each defense with its cost."""
    cells = [cell for cell in plan.cells if cell.seed == seed]
    records = [ok(Task(cell.victim, cell), SECONDS[cell.defense.name]) for cell in cells]
    return {x["key"]: x for x in (*records, ok(Task(cells[0].victim), 30.0))}


def latest_of(records):
    latest = LatestRecords()
    latest.update(records)
    return latest


def drained(schedule, workers=2):
    """Run a schedule on workers that all take one step at a time; return the names of tasks, step by step."""
    steps, held = [], [None] * workers
    while True:
        tasks = [schedule.next(victim) for victim in held]
        if not any(tasks):
            return steps
        steps.append([None if task is None else task for task in tasks])
        for i, task in enumerate(tasks):
            if task is not None:
                held[i] = task.victim.key
                assert schedule.ended(task, ok(task)) == []


def test_victims_come_first_then_their_cells_and_no_worker_idles(plan):
    steps = drained(Schedule(plan, LatestRecords(), Selection()))
    tasks = [task for step in steps for task in step if task is not None]
    assert len(tasks) == len({task.key for task in tasks}) == 3 + 18
    assert [task.cell is None for task in tasks[:4]] == [
        True,
        True,
        True,
        False,
    ]  # the third, beside a cell
    assert [step.count(None) for step in steps] == [0] * 10 + [1]


def test_a_worker_stays_with_its_victim_while_it_has_cells(plan):
    steps = drained(Schedule(plan, LatestRecords(), Selection()), workers=1)
    victims = [step[0].victim.seed for step in steps[3:]]
    changes = sum(a != b for a, b in itertools.pairwise(victims))
    assert changes == 2


def test_the_longest_comes_first_by_what_earlier_cells_cost(plan):
    schedule = Schedule(plan, latest_of(known(plan, 0)), Selection())
    assert schedule.total_cells == 12
    assert schedule.left() == 2 * 30 + 4 * sum(SECONDS.values())
    steps = drained(schedule, workers=1)
    names = [step[0].cell.defense.name for step in steps[2:8]]
    assert names == ["ft", "ft", "fp", "fp", "none", "none"]
    assert schedule.left() == 0


def test_what_was_just_learned_counts_and_the_larger_budget_is_the_longer(plan):
    schedule = Schedule(
        plan,
        latest_of({k: x for k, x in known(plan, 0).items() if x["kind"] == "victim"}),
        Selection(),
    )
    order = []
    while task := schedule.next(order[-1].victim.key if order else None):
        cost = 1.0 if task.cell is None else SECONDS[task.cell.defense.name] * task.cell.budget.spc
        schedule.ended(task, ok(task, cost))
        order.append(task)
    first = [(x.cell.defense.name, x.cell.budget.spc) for x in order[2:8]]
    assert first == [("none", 10), ("ft", 10), ("ft", 2), ("fp", 10), ("fp", 2), ("none", 2)]


def test_costs_fall_back_from_the_same_cell_to_the_same_defense_to_any():
    costs = DurationEstimator()
    assert costs.of(("x", "ft", "cell")) is None
    assert costs.rank(("x", "ft", "cell")) == 1
    costs.note(("y", "ft", "cell"), 10)
    costs.note(("z", "fp", "cell"), 20)
    assert [costs.of((k, n, "cell")) for k, n in (("y", "ft"), ("x", "ft"), ("x", "ims"))] == [
        10,
        10,
        15,
    ]


def test_cells_fall_with_their_victim(plan):
    schedule = Schedule(plan, LatestRecords(), Selection())
    task = schedule.next(None)
    fallen = schedule.ended(task, failure(task, "crash", "it died"))
    assert {(x["status"], x["error"]) for x in fallen} == {("error", "its victim failed: it died")}
    assert len(fallen) == 6
    again = Schedule(
        plan, latest_of({x["key"]: x for x in (failure(task, "crash", "it died"),)}), Selection()
    )
    assert len(again.fallen) == 6
    assert again.total_victims == 2


@pytest.mark.parametrize(
    ("mode", "since", "wanted"),
    [
        ("run", "9999", ["missing"]),
        ("retry", "9999", ["missing", "oom"]),
        ("retry", "2026", ["missing"]),
        ("force", "9999", ["missing", "ok", "oom"]),
        ("force", "2026", ["missing"]),
        ("read-only", "9999", []),
    ],
)
def test_a_wish_says_what_is_open(plan, mode, since, wanted):
    keys = dict(zip(("ok", "oom"), (cell.key for cell in plan.cells), strict=False))
    latest = latest_of(
        {
            key: {**ok(Task(plan.cells[0].victim)), "key": key, "status": s}
            for s, key in keys.items()
        }
    )
    wish = Selection(mode=mode, since=since)
    found = [name for name, key in {**keys, "missing": "x"}.items() if wish.wants(key, latest)]
    assert sorted(found) == wanted


def test_a_victim_whose_files_are_gone_is_trained_again(plan):
    cells = plan.cells[:6]
    latest = latest_of({cells[0].victim.key: ok(Task(cells[0].victim))})
    assert Schedule(plan, latest, Selection()).total_victims == 2
    assert Schedule(plan, latest, Selection(), lambda record: False).total_victims == 3


def test_victims_alone_are_trained_where_asked(plan):
    schedule = Schedule(plan, LatestRecords(), Selection(up_to="victims"))
    assert (schedule.total_victims, schedule.total_cells) == (3, 0)
    assert [task.cell for step in drained(schedule) for task in step if task] == [None] * 3


def test_gpus_are_shared_by_measured_memory(plan):
    assert measured_mb(plan, latest_of(known(plan, 0))) == 1000
    other = {key: {**x, "environment": {"device": "cpu"}} for key, x in known(plan, 0).items()}
    assert measured_mb(plan, latest_of(other)) is None
    assert per_gpu(80_000, None, 16) == 1
    assert per_gpu(80_000, 1000, 16) == 8
    assert per_gpu(80_000, 1000, 4) == 4
    assert per_gpu(8000, 3000, 16) == 1
    assert per_gpu(10_000, 3000, 16) == 2


def test_cpu_slots(plan, monkeypatch):
    slots = slots_for(HardwareRequest("cpu", workers=3), plan, LatestRecords())
    assert [(slot.device, slot.threads, slot.label) for slot in slots] == [
        ("cpu", 1, f"cpu {i}") for i in range(3)
    ]
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert len(slots_for(HardwareRequest("cpu"), plan, LatestRecords())) == 1


class _FakeCuda:
    """What is asked of torch about two GPUs of 10 GB: there is none on the machines that test this."""

    def device_count(self):
        return 2

    def get_device_properties(self, device):
        return type("Properties", (), {"total_memory": 10_000 * 2**20})


class _FakeTorch:
    cuda = _FakeCuda()
    device = str


def test_gpu_slots_spread_over_the_gpus(plan, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", _FakeTorch())
    monkeypatch.setattr("harness.execution.slots.cores", lambda: 16)
    labels = [
        slot.label
        for slot in slots_for(HardwareRequest(gpus=(0, 1), per_gpu=2), plan, LatestRecords())
    ]
    assert labels == ["cuda:0/0", "cuda:1/0", "cuda:0/1", "cuda:1/1"]
    assert [slot.label for slot in slots_for(HardwareRequest(), plan, LatestRecords())] == [
        "cuda:0",
        "cuda:1",
    ]
    slots = slots_for(HardwareRequest(gpus=(1,)), plan, latest_of(known(plan, 0)))
    assert [(slot.device, slot.threads) for slot in slots] == [("cuda:1", 3)] * 5
    for asked, message in (
        (HardwareRequest(gpus=(2,)), "no GPU 2 here; there are 2"),
        (HardwareRequest(workers=2), "--workers counts CPU workers"),
        (HardwareRequest("cuda:0", gpus=(0,)), "name devices twice"),
    ):
        with pytest.raises(UserError, match=message):
            slots_for(asked, plan, LatestRecords())


def test_shares_of_a_gpu_need_one(plan):
    with pytest.raises(UserError, match="there is no GPU here"):
        slots_for(HardwareRequest("cpu", per_gpu=2), plan, LatestRecords())
