"""What a user sees of one cell or victim: scores, failure, what its method printed."""

import json
import shlex

import pytest
from click.testing import CliRunner

from harness.cli.main import cli
from harness.errors import UserError
from harness.execution.demand import demand_of
from harness.execution.task_log import LONGEST, printed_to
from harness.store.record_files import LatestRecords
from harness.store.store import store_of
from tests.helpers import tiny_study

TALKS = '''"""Prints, warns, and fails in a function of its own."""
import os, warnings
from harness.contract import defense

@defense(paper="", year=2026, family="control")
def talks(model, budget, hyper, ctx):
    print(len(budget), "images")
    warnings.warn("look out")
    os.system("echo from a child")
    return repair(model)

def repair(model):
    return model.nothing
'''


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run a study whose second defense fails and whose second attack is not planted."""
    folder = tmp_path_factory.mktemp("ran")
    (folder / "talks.py").write_text(TALKS)
    path = tiny_study.write_study(
        folder,
        attacks=["badnets", {"blended": {"alpha": 0.001}}],
        defenses=["none", "./talks.py"],
        recipe={"fast": {"epochs": 8}},
        models=[{"preactresnet18": {"width": 4}}],
        gate={"asr": 0.5},
    )
    tiny_study.run(path, folder / "out", workers=1)
    return path, folder / "out"


@pytest.fixture
def said(ran, monkeypatch):
    """Run a command on the study, and return what it printed."""
    path, out = ran
    monkeypatch.chdir(path.parent)

    def run(name, *words):
        arguments = [name, "small.yaml", *words, "--out", str(out)]
        result = CliRunner().invoke(cli, arguments, standalone_mode=False)
        if result.exception is not None:
            raise result.exception
        return result.output

    return run


def test_logs_have_what_was_printed_and_the_traceback_from_the_method_on(said):
    text = said("logs", "talks", "badnets")
    assert "20 images\n" in text
    assert "UserWarning: look out" in text
    assert "from a child\n" in text
    assert "error: AttributeError: 'Sequential' object has no attribute 'nothing'" in text
    frames = [line for line in text.splitlines() if line.startswith("  File")]
    assert ["talks.py" in frame for frame in frames[:2]] == [True, True]
    assert "nothing was printed" in said("logs", "none badnets")
    assert "it has not run" in said("logs", "none blended")


def test_a_cell_is_shown_in_percent_with_its_gate_its_files_and_how_to_rerun_it(said, ran):
    text = said("show", "none", "badnets")
    scores = json.loads(said("show", "none", "badnets", "--json"))["result"]
    assert f"ACC {100 * scores['acc']:5.1f} %  ASR {100 * scores['asr']:5.1f} %" in text
    assert "gate         passed" in text
    assert f"rerun        defuse run small.yaml --out {ran[1]} --mode force --only key=" in text
    (file,) = [line.split()[1] for line in text.splitlines() if "predictions" in line]
    assert store_of(ran[1]).folder.joinpath(file).is_file()


def test_a_failure_and_an_unplanted_victim_say_why(said, ran):
    failed = said("show", "talks", "badnets")
    assert "status       error: AttributeError" in failed
    assert f"defuse run small.yaml --out {ran[1]} --mode retry --only key=" in failed
    unplanted = said("show", "none", "blended")
    assert "status       not planted: ASR is " in unplanted
    assert "try first    " in unplanted
    assert (
        f"rerun        defuse run small.yaml --out {ran[1]} gate.run=all --only key=" in unplanted
    )


@pytest.mark.parametrize("more", [(), ("gate.run=all",)])
def test_the_end_says_what_the_means_leave_out_and_what_to_change(said, more):
    first = "; the first, digits / preactresnet18 / blended / rate 0.1 / seed 0: ASR is "
    for words in (("status",), ("run", "--mode", "read-only")):
        (line,) = [x for x in said(*words, *more).splitlines() if "mean counts them" in x]
        assert line.startswith(
            f"1 of 2 victims failed the gate, so that no mean counts them{first}"
        )
        assert "the gate is 50 %. Try first: a stronger trigger" in line
    line = said("status", "--only", "attack=blended", *more).splitlines()[-1]
    assert line.startswith(f"no victim is planted, so that the board has no numbers{first}")
    assert "the gate" not in said("status", "--only", "attack=badnets", *more)


def test_a_printed_command_repeats_what_was_typed(said, ran):
    text = said("show", "talks", "badnets", "timeout=99", "seeds=[0, 7]", "--only", "seed=0")
    (command,) = [x.split("rerun")[1] for x in text.splitlines() if x.startswith("  rerun")]
    typed = ["small.yaml", "timeout=99", "seeds=[0, 7]", "--out", str(ran[1])]
    assert shlex.split(command)[:7] == ["defuse", "run", *typed]
    done = CliRunner().invoke(cli, [*shlex.split(command)[1:], "--dry-run"], standalone_mode=False)
    assert "1 cells to run" in done.output


def test_victims_are_shown(said):
    text = said("show", "victim", "blended")
    assert "not planted (ASR is " in text
    assert "alpha=0.001" in text
    assert json.loads(said("show", "victim", "badnets", "--json"))["kind"] == "victim"
    with pytest.raises(UserError, match="no victim of small matches 'victim wanet'"):
        said("show", "victim", "wanet")


def test_counts_as_json(said):
    counts = json.loads(said("status", "--json"))
    assert counts["cells"] == {"ok": 1, "error": 1, "not planted": 2}
    assert json.loads(said("run", "--mode", "read-only", "--json")) | {"running": []} == counts


def test_only_some_cells_and_other_values_of_keys(said):
    plan = said("run", "--dry-run", "seeds=[0, 7]", "--only", "defense=none,seed=7")
    assert "2 cells to run" in plan
    assert plan.count("seed 7 / none") == 2
    with pytest.raises(UserError, match=r"--only sed=7: name=value .*did you mean 'seed'"):
        said("run", "--dry-run", "--only", "sed=7")
    with pytest.raises(UserError, match="no cell of small matches"):
        said("run", "--dry-run", "--only", "defense=ims")
    with pytest.raises(UserError, match=r"^command line: gate.asr: "):
        said("run", "--dry-run", "gate.asr=high")


def test_the_other_commands_take_the_same_choices(said):
    assert "small: 1 cells: 1 error" in said("status", "--only", "defense=talks,attack=badnets")
    assert "small: 2 cells: 2 not planted" in said("status", "--only", "attack=blended")
    assert "badnets / rate 0.1 / seed 0 / none" in said("show", "--only", "defense=none", "badnets")
    assert "gate         not planted" in said("show", "none", "badnets", "gate.asr=1.0")
    assert "it has not run" in said("logs", "none", "badnets", "seeds=[5]")
    check = ["check", "small.yaml", "seeds=[5]", "--only", "defense=none"]
    assert CliRunner().invoke(cli, check).output.endswith("is in order, 2 cells\n")
    with pytest.raises(UserError, match=r"command line: sedes: .*did you mean 'seeds'"):
        said("show", "none", "badnets", "sedes=[0]")
    with pytest.raises(UserError, match="4 cells of small match ''; be more specific"):
        said("logs")


def test_a_report_says_why_its_exit_code_is_1_and_follows_what_the_command_line_sets(said):
    text = said("report", "name=other")
    assert text.splitlines()[-1].startswith("exit code 1, as cells failed (1 error): 'defuse logs")
    assert "/other/leaderboard.md" in text
    again = "nothing to do, and"
    assert again in said("run", "--mode", "read-only", "name=other")
    assert again not in said("run", "--mode", "read-only", "name=other", "gate.asr=0.4")


def test_the_disk_that_a_run_takes_is_known_within_a_factor_of_two(ran):
    study, store = tiny_study.load(ran[0]), store_of(ran[1])
    latest = store.latest()
    done = [x for x in (*study.victims().values(), *study.cells) if latest.status(x.key) == "ok"]
    files = [*store.record_files(), *store.artifact_files()]
    assert 0.5 < demand_of(done, LatestRecords()).disk / sum(x.stat().st_size for x in files) < 2


def test_a_long_log_keeps_its_ends(tmp_path):
    path = tmp_path / "logs" / "key.txt"
    with printed_to(path):
        path.write_bytes(b"first" + b"." * 2 * LONGEST + b"last")
    text = path.read_text()
    assert text.startswith("first.")
    assert text.endswith(".last")
    assert len(text) < LONGEST + 100
