"""Cells of a victim that failed the gate are not run, unless the study's gate says so."""

import io

import pytest
from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.execution.study_progress import study_progress
from harness.report.frame.frame import build_frame
from harness.store.gate import remedy
from harness.store.record_files import LatestRecords
from harness.store.store import store_of
from tests.helpers import records, tiny_study
from tests.helpers.timed_study import latest_of

NEVER_MET = {"asr": 1.0, "acc": 1.0}


def run(folder, gate):
    """Run the small study under a gate; return the study, its newest records and what was said."""
    study = tiny_study.load(tiny_study.write_study(folder, gate=gate))
    said = io.StringIO()
    options = Options(Selection(), HardwareRequest("cpu"), inline=True)
    store = store_of(folder / "out")
    latest = run_study(study, store, options, Console(file=said, width=400))
    return study, latest, said.getvalue()


def test_the_cells_have_no_record_and_the_run_says_why_and_what_to_change(tmp_path):
    study, latest, said = run(tmp_path, NEVER_MET)
    assert study_progress(study, latest) == ({"not planted": 2}, {"ok": 1}, {})
    assert "workers: 1 " in said, "a run in this process has no more"
    (line,) = [line for line in said.splitlines() if "not planted" in line]
    assert "badnets" in line
    assert "the gate is 100 %; its 2 cells are not run" in line
    assert "Try first: more epochs, as ACC is only " in line
    assert "gate: {run: all}" in line
    frame = build_frame([study], latest)
    assert set(frame["status"]) == {"not planted"}
    assert frame["error"].str.contains("the gate is 100 %").all()
    _, after, said = run(tmp_path, NEVER_MET)
    assert (len(after), said) == (1, "")


@pytest.mark.parametrize(
    ("acc", "asr", "change"),
    [
        (0.3, 0.2, "more epochs, as ACC is only 30.0 %"),
        (0.9, 0.2, "a stronger trigger, as the network has learned the classes alone"),
        (0.9, 0.6, "a higher poison rate, as the trigger works on a part of the images"),
    ],
)
def test_what_to_change_first_is_read_from_the_scores(tmp_path, acc, asr, change):
    study = tiny_study.load(tiny_study.write_study(tmp_path))
    victim = study.cells[0].victim
    latest = latest_of(records.ok(victim, acc=acc, asr=asr))
    assert remedy(study, victim, latest).startswith(change)


@pytest.mark.parametrize("gate", [{**NEVER_MET, "run": "all"}, {"acc": 0.0, "asr": 0.0}])
def test_the_same_store_runs_them_under_another_gate(tmp_path, gate):
    run(tmp_path, NEVER_MET)
    study, latest, _ = run(tmp_path, gate)
    assert study_progress(study, latest).cells == {"ok": 2}


@pytest.mark.parametrize(("clean_acc", "runs"), [(0.9, 2), (0.99, 0)])
def test_cells_wait_for_the_clean_model_that_the_gate_compares_with(tmp_path, clean_acc, runs):
    gate = {"asr": 0.5, "acc_margin": 0.05}
    study = tiny_study.load(tiny_study.write_study(tmp_path, gate=gate))
    schedule = Schedule(study, LatestRecords(), Selection())
    clean, victim = schedule.next(None), schedule.next(None)
    assert (clean.victim.is_clean, victim.victim.is_clean) == (True, False)
    schedule.finish(victim, records.ok(victim.victim, acc=0.9, asr=0.9))
    assert schedule.next(None) is None
    schedule.finish(clean, records.ok(clean.victim, acc=clean_acc))
    assert schedule.total_cells == runs
    assert (schedule.next(None) is None) == (runs == 0)
    reasons = [] if runs else ["ACC is 90.0 %, the gate is 94 %"]
    assert [x.reason for x in schedule.unplanted] == reasons
