"""Scripts of another toolbox as defenses: exported to, given our budget, ended in time, loaded safely."""

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch

from harness.bridges.script import entry, shim
from harness.bridges.script.inputs import ScriptInputs
from harness.bridges.script.run import ScriptError, run_script
from harness.contract import Context, OutOfTimeError
from harness.errors import UserError
from harness.execution.cell import budget_indices
from harness.execution.code_snapshot import snapshot_code
from harness.report.frame.report_data import load_report_data
from harness.report.stats.paired_tests import competitors
from harness.report.tables.leaderboard import board, leaderboard
from harness.report.typeset.render import markdown
from harness.store.store import store_of
from harness.training.session import WorkerSession
from tests.helpers import fake_backdoorbench, tiny_study

MODES = ("by class", "fail", "nothing")


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A study with one victim and the script in several modes, run once: its folder, plan and records."""
    folder = tmp_path_factory.mktemp("external")
    root = fake_backdoorbench.write_repository(folder / "bench")
    fake_backdoorbench.write_images(folder / "images")
    scripts = [
        fake_backdoorbench.script(root),
        *(fake_backdoorbench.script(root, mode=mode) for mode in MODES),
    ]
    study = fake_backdoorbench.write_study(folder, defenses=["none", *scripts])
    records = tiny_study.run(study, folder / "out")
    return folder, tiny_study.load(study), records


def record_of(ran, words):
    _, plan, records = ran
    return next(records[cell.key] for cell in plan.cells if cell.defense.label == words)


def handed(ran, store, **settings):
    """Return what the script is handed in one more cell, and its settings."""
    folder, plan, records = ran
    cell = next(cell for cell in plan.cells if cell.needs == "external")
    bench = WorkerSession(store, torch.device("cpu"))
    victim = bench.load(cell.victim, records[cell.victim.key])
    data = bench.data(cell.victim)
    choice = entry.resolve_defense(
        fake_backdoorbench.script(folder / "bench", **settings), folder
    )
    hyper = choice.load().hyper
    return ScriptInputs(cell, victim, data, budget_indices(cell, data), store), hyper


def test_a_script_is_evaluated_by_us_and_says_where_it_comes_from(ran):
    record = record_of(ran, "BackdoorBench shift")
    result = record.result
    assert record.status == "ok", record.error
    assert result.n_clean == 2 * fake_backdoorbench.CLASSES
    assert result.changed > 0
    assert result.acc <= 0.1  # the script sends every image to the last class
    assert "peak_mem_mb" not in result
    assert result.notes["budget"] == "imposed"
    assert len(result.notes["revision"]) == 40
    output = bytes(store_of(ran[0] / "out").get(result.artifacts.method)["output"]).decode()
    for said in (("device", "cpu"), ("source", "gtsrb"), ("index", "./index.txt")):
        assert str(said) in output
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
    (part,) = load_report_data([plan], store_of(folder / "out"), None).parts
    numbers = leaderboard(part)
    text = markdown([board(part, numbers)])
    assert text.index("**SPC 2**") < text.index("| no defense") < text.index("**SPC 2 external**")
    assert text.index("**SPC 2 external**") < text.index("| BackdoorBench shift ")
    assert "External: scripts of another toolbox, which are handed the test set" in text
    assert set(numbers["needs"]) == {"clean", "external"}
    assert "BackdoorBench shift" not in set(competitors(part.frame)["defense"])


class UntilThere(Context):
    """A context whose deadline passes when a file is there, however slow the machine is."""

    def check(self):
        if self.path.exists():
            raise OutOfTimeError("it is there")


def test_a_script_that_hangs_is_ended_with_its_children(ran, tmp_path):
    given, hyper = handed(
        ran, store_of(ran[0] / "out"), mode="hang", marker=str(tmp_path / "alive")
    )
    ctx = UntilThere(torch.device("cpu"), torch.Generator())
    object.__setattr__(ctx, "path", tmp_path / "alive")
    with pytest.raises(OutOfTimeError):
        run_script(given, hyper, ctx)
    before = (tmp_path / "alive").stat().st_size
    time.sleep(0.5)
    assert (tmp_path / "alive").stat().st_size == before


def test_a_malicious_result_is_refused_and_not_executed(ran, tmp_path):
    given, hyper = handed(
        ran, store_of(ran[0] / "out"), mode="malicious", marker=str(tmp_path / "owned")
    )
    with pytest.raises(UserError, match="system"):
        run_script(given, hyper, Context(torch.device("cpu"), torch.Generator()))
    assert not (tmp_path / "owned").exists()


def test_a_script_that_draws_other_images_is_refused(ran):
    given, hyper = handed(ran, store_of(ran[0] / "out"), mode="peek")
    with pytest.raises(ScriptError, match="used 86 clean images that are not those of its budget"):
        run_script(given, hyper, Context(torch.device("cpu"), torch.Generator()))


def test_the_key_follows_the_script_and_its_settings_not_their_place(ran, tmp_path):
    def key(root, **settings):
        script = fake_backdoorbench.script(root, **settings)
        return entry.resolve_defense(script, tmp_path).identity

    one, two = ran[0] / "bench", fake_backdoorbench.write_repository(tmp_path / "other")
    assert key(one) == key(two)
    assert key(one) != key(one, mode="fail")
    (two / "config/defense/shift/gtsrb.yaml").write_text("{mode: good, epochs: 2}")
    assert key(one) != key(two)
    three = fake_backdoorbench.write_repository(tmp_path / "third")
    (three / "defense/shift.py").write_text(fake_backdoorbench.SCRIPT + "\n")
    assert key(one) != key(three)


def test_a_python_is_found_beside_the_study_or_on_the_path(ran, tmp_path, monkeypatch):
    def python(asked):
        wanted = fake_backdoorbench.script(ran[0] / "bench")
        wanted["backdoorbench"]["python"] = asked
        return entry.resolve_defense(wanted, tmp_path).hyper["python"]

    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "python").symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert python("venv/python") == str(
        tmp_path / "venv" / "python"
    )  # the link itself: it names the venv
    monkeypatch.setenv("PATH", str(tmp_path / "venv"))
    assert python("python") == str(tmp_path / "venv" / "python")
    assert python(None) == sys.executable


def test_a_script_stays_where_it_is_when_a_study_is_sent_away(ran, tmp_path):
    _, plan, _ = ran
    sent, _ = snapshot_code(plan, tmp_path)
    for before, after in zip(plan.cells, sent.cells, strict=True):
        assert after.key == before.key
        assert after.defense.hyper == before.defense.hyper


def test_a_script_that_has_changed_since_planning_is_not_run(ran, tmp_path):
    given, hyper = handed(ran, store_of(ran[0] / "out"))
    changed = fake_backdoorbench.write_repository(tmp_path / "changed")
    (changed / "defense/shift.py").write_text("raise SystemExit")
    with pytest.raises(ScriptError, match="has changed since the study was read"):
        run_script(
            given,
            replace(hyper, root=str(changed)),
            Context(torch.device("cpu"), torch.Generator()),
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"root": "nowhere"}, "nowhere is not a repository of BackdoorBench"),
        ({"script": "defense/shfit.py"}, "no file"),
        ({"python": "python-of-old"}, "no program 'python-of-old'"),
        ({"config": "settings.yaml"}, "no file"),
        ({"yml": {}}, "unknown key 'yml'; did you mean 'yaml'?"),
        ({"yaml": []}, "yaml"),
    ],
)
def test_what_is_missing_is_found_at_planning(ran, tmp_path, changes, said):
    wrong = fake_backdoorbench.script(ran[0] / "bench")
    wrong["backdoorbench"] |= changes
    study = fake_backdoorbench.write_study(ran[0], defenses=[wrong])
    with pytest.raises(UserError, match=r"both\.yaml") as error:
        tiny_study.load(study)
    assert said in str(error.value)
    assert "defenses[0].backdoorbench" in str(error.value)
    assert len(str(error.value).splitlines()) == 1


def test_victims_that_backdoorbench_does_not_know_are_skipped_with_the_reason(ran, tmp_path):
    script = fake_backdoorbench.script(ran[0] / "bench")
    plan = tiny_study.load(
        tiny_study.write_study(tmp_path, attacks=["badnets", "none"], defenses=[script])
    )
    assert {cell.skip for cell in plan.cells} == {
        "BackdoorBench has no data set 'digits'; it has cifar10, cifar100, gtsrb, tiny_imagenet",
        "BackdoorBench has no record of a clean model",
    }
    models = [{"mobilenet_v3_large": {"width": 0.5}}, "wrn_16_1"]
    plan = tiny_study.load(fake_backdoorbench.write_study(ran[0], models=models, defenses=[script]))
    assert [cell.skip.partition(";")[0] for cell in plan.cells] == [
        "BackdoorBench has mobilenet_v3_large with width=1.0 only",
        "BackdoorBench has no architecture 'wrn_16_1'",
    ]


def test_the_runner_imports_nothing_of_ours_and_ends_with_its_starter(ran, tmp_path):
    given = {"root": str(ran[0] / "bench"), "dataset": "gtsrb", "images": str(tmp_path)}
    script = tmp_path / "script.py"
    ours = "[name for name in sys.modules if 'harness' in name]"
    script.write_text(f"import sys, time\nprint({ours}, flush=True)\ntime.sleep(60)\n")
    command = [sys.executable, "-I", shim.__file__, json.dumps(given), str(script)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd=tmp_path
    ) as process:
        assert process.stdout.readline() == b"[]\n"
        process.stdin.close()
        assert process.wait(20) == -signal.SIGKILL
