"""Cohorts: cells of one victim and one defense that run at once, with a record each."""

import numpy as np
import pytest
from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest, Slot
from harness.store.record_files import LatestRecords
from harness.store.store import store_of
from tests.helpers import records, tiny_study

IMS = {
    "ims": {"inner_lr": 0.02, "inner_steps": 2, "initial_rounds": 3, "rounds": 2, "sparsity": 0.5}
}
BUDGETS = [{"spc": 1}, {"spc": 2}, {"spc": 3}]
FRAGILE = '''"""Leaves one budget alone, and fails with several."""
import os

from harness.contract import defense


def run_all(model, budgets, hyper, contexts):
    {fails}


@defense(paper="", year=0, family="control", cohort=run_all)
def fragile(model, budget, hyper, ctx):
    return model
'''


@pytest.fixture
def cohorts_on_cpu(monkeypatch):
    """Have the slots of the CPU take cohorts."""
    monkeypatch.setattr(Slot, "takes_cohorts", True)


def run(study, out, *, inline=True):
    run_study(
        tiny_study.load(study),
        store_of(out),
        Options(Selection(), HardwareRequest("cpu", 1), inline),
        Console(quiet=True),
    )
    return {key: x for key, x in tiny_study.newest(out).items() if x.kind == "cell"}


def test_cells_with_victim_and_defense_in_common_make_a_cohort(tmp_path):
    changes = {"defenses": ["none", IMS, "ims"], "budgets": BUDGETS[:2], "seeds": [0, 1]}
    plan = tiny_study.load(tiny_study.write_study(tmp_path, **changes))
    latest = LatestRecords()
    for victim in plan.victims().values():
        latest.add(records.ok(victim))
    for cohorts, others in ((False, [0] * 12), (True, [0] * 4 + [1] * 4)):
        tasks, schedule = [], Schedule(plan, latest, Selection())
        while task := schedule.next(None, cohorts=cohorts):
            tasks.append(task)
        assert sorted(len(task.cohort) for task in tasks) == others
        assert {each.key for task in tasks for each in task.each()} == {
            cell.key for cell in plan.cells
        }
        assert all(each.cell.defense is task.cell.defense for task in tasks for each in task.each())


def test_a_cohort_has_the_records_of_solo_runs(tmp_path, monkeypatch):
    study = tiny_study.write_study(tmp_path, defenses=[IMS], budgets=BUDGETS)
    solo = run(study, tmp_path / "solo")
    monkeypatch.setattr(Slot, "takes_cohorts", True)
    together = run(study, tmp_path / "together")
    assert solo.keys() == together.keys()
    assert {x.result.cohort for x in solo.values()} == {1}
    assert {x.result.cohort for x in together.values()} == {3}
    assert len({x.result.seconds for x in together.values()}) == 1, "an equal share each"
    for key, one in solo.items():
        other = together[key]
        assert one.name == other.name
        assert [row["loss"] for row in one.scalars] == pytest.approx(
            [row["loss"] for row in other.scalars], rel=1e-3
        )
        assert one.result.n_clean == other.result.n_clean
        kept = [
            store_of(tmp_path / out).get(x.result.artifacts.method)
            for out, x in (("solo", one), ("together", other))
        ]
        assert kept[0].keys() == kept[1].keys()
        for name, gates in kept[0].items():
            if not name.startswith("histogram"):
                np.testing.assert_allclose(kept[1][name], gates, atol=1e-4)


@pytest.mark.parametrize(
    ("fails", "inline"),
    [
        ("raise ConnectionError('as planned')", True),
        ("raise MemoryError", False),
        ("os._exit(1)", False),
    ],
)
def test_the_cells_of_a_failed_cohort_are_run_one_by_one(tmp_path, cohorts_on_cpu, fails, inline):
    (tmp_path / "fragile.py").write_text(FRAGILE.format(fails=fails))
    study = tiny_study.write_study(tmp_path, defenses=["none", "fragile.py"], budgets=BUDGETS)
    found = run(study, tmp_path / "out", inline=inline)
    assert [x.status for x in found.values()] == ["ok"] * 6
    assert {x.result.cohort for x in found.values()} == {1}
