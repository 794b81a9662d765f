"""Scripts of BackdoorBench as defenses: given the budget, ended in time, loaded safely."""

import time
from dataclasses import replace

import pytest
import torch

from harness.bridges.script import entry
from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run import ScriptError, run_script
from harness.contract import Context, OutOfTimeError
from harness.errors import UserError
from harness.execution.cell import budget_indices
from harness.report.frame.report_data import load_report_data
from harness.report.stats.paired_tests import competitors
from harness.report.tables.leaderboard import board_numbers, board_table
from harness.report.typeset.render import markdown
from harness.store.store import store_of
from harness.training.session import WorkerSession
from tests.helpers import fake_backdoorbench


def record_of(ran, words):
    _, plan, records = ran
    return next(records[cell.key] for cell in plan.cells if cell.defense.label == words)


def script_inputs(ran, store, **settings):
    """Return what the script is handed in one more cell, and its settings."""
    folder, plan, records = ran
    cell = next(cell for cell in plan.cells if cell.needs == "external")
    session = WorkerSession(store, torch.device("cpu"))
    victim = session.load(cell.victim, records[cell.victim.key])
    data = session.data(cell.victim)
    choice = entry.resolve_defense(fake_backdoorbench.script(folder / "bench", **settings), folder)
    hyper = choice.load().hyper
    return ScriptInputs(cell, victim, data, budget_indices(cell, data), store), hyper


def test_a_script_is_evaluated_by_us_and_says_where_it_comes_from(ran):
    record = record_of(ran, "BackdoorBench shift")
    result = record.result
    assert record.status == "ok", record.error
    assert result.n_clean == 2 * fake_backdoorbench.CLASSES
    assert result.changed > 0
    assert result.acc <= 0.1  # the script sends every image to the last class
    assert result.peak_mem_mb is None
    assert result.notes["budget"] == "imposed"
    assert len(result.notes["revision"]) == 40
    output = bytes(store_of(ran[0] / "out").get(result.artifacts.method)["output"]).decode()
    for message in (("device", "cpu"), ("source", "gtsrb"), ("index", "./index.txt")):
        assert str(message) in output
    assert record.spec.defense.hyper["script"] == "defense/shift.py"


def test_the_budget_is_imposed_on_scripts_that_would_draw_by_class(ran):
    record = record_of(ran, "BackdoorBench shift (mode=by class)")
    assert record.status == "ok", record.error
    assert record.result.notes["budget"] == "imposed"


def test_a_script_that_fails_is_an_error_with_the_end_of_its_output(ran):
    record = record_of(ran, "BackdoorBench shift (mode=fail)")
    assert record.status == "error"
    assert "defense/shift.py ended with exit code 1" in record.error
    assert record.error.endswith("RuntimeError: no such luck")
    record = record_of(ran, "BackdoorBench shift (mode=nothing)")
    assert "wrote 0 files defense_result.pt, not 1" in record.error


def test_boards_keep_external_methods_apart(ran):
    folder, plan, _ = ran
    (group,) = load_report_data([plan], store_of(folder / "out"), None).groups
    numbers = board_numbers(group)
    text = markdown([board_table(group, numbers)])
    assert text.index("**SPC 2**") < text.index("| no defense") < text.index("**SPC 2 · external**")
    assert text.index("**SPC 2 · external**") < text.index("| BackdoorBench shift ")
    assert "External: scripts of another toolbox, which are handed the test set" in text
    assert set(numbers["needs"]) == {"clean", "external"}
    assert "BackdoorBench shift" not in set(competitors(group.frame)["defense"])


class UntilThere(Context):
    """A context whose deadline passes when a file is there, however slow the machine is."""

    def check(self):
        if self.path.exists():
            raise OutOfTimeError("it is there")


def test_a_script_that_hangs_is_ended_with_its_children(ran, tmp_path):
    inputs, hyper = script_inputs(
        ran, store_of(ran[0] / "out"), mode="hang", marker=str(tmp_path / "alive")
    )
    ctx = UntilThere(torch.device("cpu"), torch.Generator())
    object.__setattr__(ctx, "path", tmp_path / "alive")
    with pytest.raises(OutOfTimeError):
        run_script(inputs, hyper, ctx)
    before = (tmp_path / "alive").stat().st_size
    time.sleep(0.5)
    assert (tmp_path / "alive").stat().st_size == before


def test_a_malicious_result_is_refused_and_not_executed(ran, tmp_path):
    inputs, hyper = script_inputs(
        ran, store_of(ran[0] / "out"), mode="malicious", marker=str(tmp_path / "owned")
    )
    with pytest.raises(UserError, match="system"):
        run_script(inputs, hyper, Context(torch.device("cpu"), torch.Generator()))
    assert not (tmp_path / "owned").exists()


def test_a_script_that_draws_other_images_is_refused(ran):
    inputs, hyper = script_inputs(ran, store_of(ran[0] / "out"), mode="peek")
    with pytest.raises(ScriptError, match="used 86 clean images that are not those of its budget"):
        run_script(inputs, hyper, Context(torch.device("cpu"), torch.Generator()))


def test_a_script_that_has_changed_since_planning_is_not_run(ran, tmp_path):
    inputs, hyper = script_inputs(ran, store_of(ran[0] / "out"))
    changed = fake_backdoorbench.write_repository(tmp_path / "changed")
    (changed / "defense/shift.py").write_text("raise SystemExit")
    with pytest.raises(ScriptError, match="has changed since the study was read"):
        run_script(
            inputs,
            replace(hyper, root=str(changed)),
            Context(torch.device("cpu"), torch.Generator()),
        )
