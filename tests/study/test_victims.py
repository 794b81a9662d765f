"""Rates, clean models, gate and what a study refuses: from the file to the records and tables."""

from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.data.cache import default_cache
from harness.errors import UserError
from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.task import Task
from harness.plan.gate import Gate
from harness.report.frame.frame import build_frame
from harness.store.record_files import LatestRecords
from harness.store.store import store_of
from harness.study.load import load_study
from tests.helpers import records

pytest.importorskip("sklearn")

STUDY = """
data: [digits]
models: [{{preactresnet18: {{width: 4}}}}]
recipe: {{fast: {{epochs: 1}}}}
attacks: {attacks}
defenses: {defenses}
budgets: [{{spc: 2}}]
seeds: [0]
{more}
"""


def planned(tmp_path, attacks, more="", defenses="[none]"):
    path = tmp_path / "study.yaml"
    path.write_text(STUDY.format(attacks=attacks, more=more, defenses=defenses))
    return load_study(path, None, default_cache())


def refused(tmp_path, match, attacks, more=""):
    with pytest.raises(UserError, match=match):
        planned(tmp_path, attacks, more)


# Rates


def test_a_rate_is_a_share_or_a_count_and_an_attack_may_have_its_own(tmp_path):
    study = planned(tmp_path, "[badnets, {blended: {rates: [0.003, 20]}}]", "rates: [0.001, 50]")
    found = [(v.attack.label, v.rate, round(v.poison_rate, 4)) for v in study.victims().values()]
    assert found == [
        ("badnets", 0.001, 0.001),
        ("badnets", 50, 0.037),
        ("blended", 0.003, 0.003),
        ("blended", 20, 0.0148),
    ]
    names = [victim.name for victim in study.victims().values()]
    assert names[1].endswith("badnets / 50 samples / seed 0")
    assert len(set(names)) == 4


@pytest.mark.parametrize("rates", ["[0]", "[1.5]", "[-0.1]", "[]", "[true]", "[0.1, 0.1]"])
def test_rates_that_are_none(tmp_path, rates):
    refused(tmp_path, "rates", "[badnets]", f"rates: {rates}")
    refused(tmp_path, r"attacks\[0\].badnets", f"[{{badnets: {{rates: {rates}}}}}]")


def test_a_share_of_the_class_is_reported_as_one_of_the_whole(tmp_path):
    study = planned(tmp_path, "[{sig: {rate_of: class, rates: [0.5]}}]", "target: 3")
    (victim,) = study.victims().values()
    assert victim.poison_rate == pytest.approx(0.5 * 138 / 1352)


def test_what_a_class_cannot_supply_is_refused_with_the_largest_rate(tmp_path):
    refused(
        tmp_path,
        r"attacks\[0\]: sig at rate 0.1 poisons 135 samples, but class 0 of digits has 134; "
        r"the largest possible rate is 0.0991 or 134 samples",
        "[sig]",
    )
    planned(tmp_path, "[{sig: {rates: [0.0991, 134]}}]")
    refused(tmp_path, "lc at rate 135", "[{lc: {rate_of: class, rates: [135]}}]")
    refused(tmp_path, "the training set of digits has 1352", "[badnets]", "rates: [2000]")


def test_all_to_all_only_where_the_attack_has_it(tmp_path):
    planned(tmp_path, "[badnets, wanet, none]", "target: all-to-all")
    refused(
        tmp_path, r"attacks\[1\]: sig .* no all-to-all form", "[badnets, sig]", "target: all-to-all"
    )


# Clean models


def test_a_clean_model_is_one_whatever_the_rates_and_the_target(tmp_path):
    study = planned(tmp_path, "[badnets, none, lf]", "rates: [0.1, 0.2]\ntarget: 2")
    victims = list(study.victims().values())
    (clean,) = [victim for victim in victims if victim.is_clean]
    assert victims[0] is not clean or len(victims) == 5
    assert {victim.attack.name for victim in victims if victim.clean == clean} == {"lf"}
    assert {key: x.key for key, x in study.clean.items()} == {
        victim.key: clean.key for victim in victims if not victim.is_clean
    }
    other = planned(tmp_path, "[none]", "target: 5")
    assert list(other.victims()) == [clean.key]


def test_clean_models_are_trained_only_where_they_are_asked_for(tmp_path):
    assert planned(tmp_path, "[badnets]").clean == {}
    by_gate = planned(tmp_path, "[badnets]", "gate: {acc_margin: 0.02}")
    assert [victim.attack.name for victim in by_gate.victims().values()] == ["none", "badnets"]
    by_need = planned(tmp_path, "[badnets, lc]", "target: 3")
    assert len(by_need.clean) == 2


def test_a_clean_model_is_scored_with_each_attacks_trigger_once(tmp_path):
    study = planned(tmp_path, "[none, badnets, blended]", "rates: [0.1, 0.2]")
    (cell,) = [cell for cell in study.cells if cell.victim.is_clean]
    assert [(v.attack.name, v.rate) for v in cell.triggers] == [("badnets", 0.2), ("blended", 0.2)]
    alone = planned(tmp_path, "[none]")
    assert (
        alone.cells[0].defense_key == cell.defense_key
    )  # the same repair, whatever it is scored with
    assert alone.cells[0].key != cell.key


def test_gate():
    gate = Gate(asr=0.8)
    assert gate.passed(0.1, 0.8)
    assert not gate.passed(0.9, 0.79)
    assert gate.passed(0.86, 0.9, clean_acc=0.9)
    assert not gate.passed(0.84, 0.9, clean_acc=0.9)
    assert not Gate(acc_margin=0.03).passed(0.86, 0.9, clean_acc=0.9)
    assert not Gate(acc=0.5).passed(0.4, 0.9)


# The schedule


def ok(task):
    return records.ok(task.subject)


def schedule(study):
    return Schedule(study, LatestRecords(), Selection())


def test_victims_wait_for_their_clean_model_and_clean_cells_for_the_triggers(tmp_path):
    plan = schedule(planned(tmp_path, "[none, lf, badnets]"))
    clean, badnets = plan.next(None), plan.next(None)
    assert clean.victim.is_clean
    assert badnets.victim.attack.name == "badnets"  # lf waits
    assert plan.next(None) is None
    assert plan.finish(clean, ok(clean)) == []
    lf = plan.next(None)
    assert lf.victim.attack.name == "lf"
    assert list(lf.other_victims) == [clean.key]
    assert plan.next(None) is None  # the clean model's cell waits for both triggers
    plan.finish(badnets, ok(badnets))
    assert plan.next(None).cell.victim.key == badnets.key
    plan.finish(lf, ok(lf))
    cells = [plan.next(None), plan.next(None)]
    (scored,) = [task for task in cells if task.victim.is_clean]
    assert set(scored.other_victims) == {lf.key, badnets.key}
    assert plan.next(None) is None


def test_a_failed_clean_model_takes_what_needs_it_along(tmp_path):
    plan = schedule(planned(tmp_path, "[lf, badnets]"))
    clean = plan.next(None)
    assert clean.victim.is_clean
    failures = plan.finish(clean, records.failed(clean.subject))
    assert [(record.kind, record.error) for record in failures] == [
        ("victim", "its clean model failed: it broke"),
        ("cell", "its victim failed: its clean model failed: it broke"),
    ]
    assert plan.next(None).victim.attack.name == "badnets"
    assert plan.next(None) is None


# From end to end


def test_a_study_with_clean_models_runs_and_reports(tmp_path):
    study = planned(
        tmp_path, "[none, badnets, {lf: {steps: 2}}]", defenses="[none, {ft: {epochs: 1}}]"
    )
    store = store_of(tmp_path / "out")
    from rich.console import Console

    latest = run_study(study, store, Options(inline=True), Console(quiet=True))
    cells = {cell.key: latest[cell.key] for cell in study.cells}
    assert {record.status for record in cells.values()} == {"ok"}
    clean = [latest[cell.key].result for cell in study.cells if cell.victim.is_clean]
    assert [sorted(result.triggers) for result in clean] == [["badnets", "lf"]] * 2
    assert clean[0].changed == 0
    assert clean[1].changed > 0
    kinds = [record.kind for record in store.records()]
    assert (kinds.count("byproduct"), kinds.count("victim")) == (1, 3)
    again = run_study(study, store, Options(inline=True), Console(quiet=True))
    assert len(list(store.records())) == len(kinds)
    assert {key: again[key] for key in latest} == {key: latest[key] for key in latest}
    check_report(tmp_path, build_frame([study], latest))


def check_report(tmp_path, frame):
    clean = frame[frame["attack"].eq("none")]
    assert clean["gate"].eq(False).all()
    assert clean["asr_triggers"].notna().all()
    done = CliRunner().invoke(
        cli,
        ["report", str(tmp_path / "study.yaml"), "--out", str(tmp_path / "out")],
        standalone_mode=False,
    )
    assert done.exit_code == 0, done.output
    folder = tmp_path / "out" / "study"
    victims = pd.read_csv(folder / "victims.csv").set_index("attack")
    assert victims.loc["none", "verdict"] == "clean"
    assert set(victims["verdict"]) <= {"clean", "passed", "not planted"}
    assert victims.loc["badnets", "clean_acc"] == victims.loc["none", "acc"]
    cost = pd.read_csv(folder / "clean.csv").set_index("defense")
    assert cost.loc["none", "drop"] == 0
    assert cost.loc["ft", "changed"] == pytest.approx(
        clean.set_index("defense").loc["ft", "changed"]
    )
    shown = (folder / "victims.md").read_text(encoding="utf-8")
    assert "badnets" in shown
    assert (
        "none"
        not in (folder / "leaderboard.md").read_text(encoding="utf-8").partition("means over")[2]
    )


def test_a_task_can_be_sent(tmp_path):
    import pickle

    task = schedule(planned(tmp_path, "[none, badnets]")).next(None)
    assert pickle.loads(pickle.dumps(task)) == task
    assert isinstance(task, Task)


def test_the_configs_are_valid():
    for path in Path("configs").glob("attacks_digits.yaml"):
        assert len(load_study(path, None, default_cache()).victims()) == 12
