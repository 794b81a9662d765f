"""Clean models in the schedule and in a run: before the victims and cells that need them."""

import pandas as pd
import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.task import Task
from harness.report.frame.frame import build_frame
from harness.store.record_files import LatestRecords
from harness.store.store import store_of
from tests.helpers import records
from tests.helpers.attack_study import planned


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


def test_a_task_can_be_sent(tmp_path):
    import pickle

    task = schedule(planned(tmp_path, "[none, badnets]")).next(None)
    assert pickle.loads(pickle.dumps(task)) == task
    assert isinstance(task, Task)


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
    assert clean["gate"].eq(True).all()  # no ASR is demanded of a clean model
    assert (
        clean[["asr", "ra", "asr_before", "ra_before", "der", "rir", "rdr"]].isna().all(axis=None)
    )
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
    cost = pd.read_csv(folder / "clean.csv").set_index(["defense", "metric"])["mean"]
    own = clean.set_index("defense")
    assert cost["none", "acc_change"] == 0
    assert cost["ft", "changed"] == pytest.approx(own.loc["ft", "changed"])
    board = pd.read_csv(folder / "leaderboard.csv").set_index(["defense", "metric"])["mean"]
    assert board["ft", "clean_acc_change"] == pytest.approx(own.loc["ft", "acc_change"])
    assert pd.isna(victims.loc["none", "asr"])
    shown = (folder / "victims.md").read_text(encoding="utf-8")
    assert "BadNets" in shown
    board = (folder / "leaderboard.md").read_text(encoding="utf-8").partition("means over")[2]
    assert "none" not in board
    assert "No attack" not in board
