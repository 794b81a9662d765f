from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from harness.data.cache import default_cache
from harness.errors import UserError
from harness.execution.code_snapshot import snapshot_code
from harness.execution.options import Options
from harness.execution.sbatch_options import parse_options
from harness.execution.selection import Selection
from harness.execution.slurm import StudyJob
from harness.execution.slurm_queue import queued_jobs
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import failing_defenses

START = Path(__file__).parents[1] / "helpers" / "slurm" / "start.sh"
NEEDS = ("slurmctld", "slurmd", "munged", "sbatch")
SLOW = '''"""Waits for a file, for tests."""
import time
from pathlib import Path
from harness.contract import defense


@defense(paper="", year=0, family="control", version=1)
def slow(model, budget, hyper, ctx):
    while not Path("{file}").exists():
        time.sleep(0.1)
    return model
'''


def absent() -> str:
    """Return why there can be no cluster here; "" when there can."""
    missing = [
        name for name in NEEDS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None
    ]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurm-wlm and munge)"
    return "" if os.geteuid() == 0 else "a cluster is started by root only"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Start a cluster of one node; where that can't be, skip, but fail in CI."""
    if reason := absent():
        assert "CI" not in os.environ, reason
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run(
        [START, folder], capture_output=True, text=True, timeout=60, check=False
    )
    assert started.returncode == 0, started.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        yield
    subprocess.run([START, folder, "stop"], check=True)


@pytest.fixture
def study(tmp_path):
    path = failing_defenses.study(tmp_path, bad=(), seeds=(0, 1))
    (tmp_path / "slow.py").write_text(SLOW.format(file=tmp_path / "go"))
    path.write_text(path.read_text().replace("- none", "- none\n- slow.py"))
    return path


def submit(study, out):
    sent = failing_defenses.run(
        *(
            study,
            out,
            "--launcher",
            "slurm",
            "--slurm",
            "time=00:10:00,cpus-per-task=1,array_parallelism=2",
        )
    )
    assert sent.returncode == 0, sent.stderr
    return sent.stdout


def jobs(*options: str) -> list[str]:
    """Return the jobs of the cluster, arrays element by element."""
    command = ["squeue", "--noheader", "--array", "--format=%i", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def until(condition, seconds=200.0):
    """Wait for a condition; return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.2)
    return found


def test_arrays_survive_a_cancelled_and_a_preempted_job(cluster, study, tmp_path):
    out, text = tmp_path / "out", "submitted 2 victims and 6 cells as arrays"
    said = submit(study, out)
    assert said.startswith(text)
    _, cells = said.splitlines()[0].removeprefix(text).split(",")
    cells = cells.strip()
    waiting = failing_defenses.run(study, out, "--launcher", "slurm")
    assert (waiting.returncode, "jobs of this study are in the queue" in waiting.stderr) == (
        2,
        True,
    )
    store = Store(out / "store")
    until(lambda: sum(line.status == "ok" and line.kind == "cell" for line in store.lines()) == 4)
    assert {f"{cells}_0", f"{cells}_1"} == set(jobs("--states=running"))
    command = failing_defenses.command("status", study, "--out", out)
    shown = subprocess.run(
        command, env=failing_defenses.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert "2 jobs in the queue: 2 running" in shown
    subprocess.run(["scancel", f"{cells}_0"], check=True)
    subprocess.run(
        ["scancel", "--signal=USR2", f"{cells}_1"], check=True
    )  # what a preemption sends
    until(lambda: jobs("--states=pending") == [f"{cells}_1"])
    (tmp_path / "go").touch()
    until(lambda: not jobs())
    plan = load_study(study, None, default_cache())
    latest = store.latest()
    done = {
        cell.seed: latest.status(cell.key) for cell in plan.cells if cell.defense.name == "slow"
    }
    assert done == {0: None, 1: "ok"}  # requeued, it went on by itself; cancelled, it did not
    assert submit(study, out).startswith("submitted 0 victims and ")
    until(lambda: not jobs())
    assert failing_defenses.checked(out, "no such mark") == {"ok": 6}
    assert failing_defenses.run(study, tmp_path / "local").returncode == 0
    assert failing_defenses.results(out) == failing_defenses.results(tmp_path / "local")


def test_clean_models_are_trained_once_and_before_what_needs_them(cluster, tmp_path):
    study, out = failing_defenses.study(tmp_path, bad=()), tmp_path / "out"
    content = {
        **yaml.safe_load(study.read_text()),
        "attacks": ["badnets", "blended"],
        "gate": {"acc_margin": 0.1},
    }
    study.write_text(yaml.safe_dump(content))
    said = submit(study, out)
    assert said.startswith("submitted 3 victims and 4 cells as arrays")
    assert said.splitlines()[0].count(",") == 2
    until(lambda: not jobs())
    assert failing_defenses.checked(out, "no such mark") == {"ok": 4}
    victims = {
        x.name: x.finished for x in Store(out / "store").latest().values() if x.kind == "victim"
    }
    clean, *others = sorted(victims, key=victims.__getitem__)
    assert "/ none /" in clean
    assert len(others) == 2


def test_a_part_that_is_requeued_is_the_same_part(study, tmp_path):
    pytest.importorskip("submitit")
    plan = load_study(study, None, default_cache())
    part = StudyJob(run_study, plan, tmp_path, Options(Selection(mode="retry", since="2026")))
    assert part.checkpoint().function is part


def test_what_runs_later_is_what_was_submitted(study, tmp_path):
    plan = load_study(study, None, default_cache())
    frozen, code = snapshot_code(plan, tmp_path / "code")
    assert [cell.key for cell in frozen.cells] == [cell.key for cell in plan.cells]
    refs = {cell.defense.name: cell.defense.ref for cell in frozen.cells}
    study.with_name("slow.py").write_text("changed")
    assert Path(refs["slow"]).read_text() == SLOW.format(file=tmp_path / "go")
    assert refs["ft"] == "ft"
    assert (code / "harness" / "defenses" / "ft.py").read_text() == (
        failing_defenses.ROOT / "defenses" / "ft.py"
    ).read_text()
    assert snapshot_code(plan, tmp_path / "code")[1] == code


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("partition=gpu,gres=gpu:a100:1", {"partition": "gpu", "gres": "gpu:a100:1"}),
        ("time=04:00:00,nodes=2", {"time": 240, "nodes": 2}),
        ("time=1-00:00:30", {"time": 1441}),
        ("time=90", {"time": 90}),
        ("time=90:00", {"time": 90}),
        ("nodelist=a,b,mem=4GB", {"nodelist": "a,b", "mem": "4GB"}),
        ("reservation=x", {"additional_parameters": {"reservation": "x"}}),
        ("cpus-per-task=4", {"cpus_per_task": 4, "srun_args": ["--cpus-per-task=4"]}),
    ],
)
def test_parameters_of_sbatch(cluster, text, expected):
    assert parse_options(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partition", "'partition' is not name=value"),
        ("time=soon", "time is minutes, h:mm:ss or d-hh:mm:ss, not 'soon'"),
        ("nodes=two", "nodes is a number, not 'two'"),
        ("job_name=x", "'job_name' is set by the launcher"),
    ],
)
def test_wrong_parameters_are_told(cluster, text, message):
    with pytest.raises(UserError, match=message):
        parse_options(text)


def test_without_slurm_the_launcher_says_so(monkeypatch, study, tmp_path):
    pytest.importorskip("submitit")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no sbatch here"):
        parse_options("")
    assert not queued_jobs(load_study(study, None, default_cache()), Store(tmp_path))
