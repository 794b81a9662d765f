"""A study on a real SLURM cluster of one node."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from harness.execution.options import Options
from harness.execution.run import run_study
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
def study_path(tmp_path):
    path = failing_defenses.study(tmp_path, bad=(), seeds=(0, 1))
    (tmp_path / "slow.py").write_text(SLOW.format(file=tmp_path / "go"))
    path.write_text(path.read_text().replace("- none", "- none\n- slow.py"))
    return path


def submit(study_path, out):
    submitted = failing_defenses.run(
        *(
            study_path,
            out,
            "--launcher",
            "slurm",
            "--slurm",
            "time=00:10:00,cpus-per-task=1,array_parallelism=2",
        )
    )
    assert submitted.returncode == 0, submitted.stderr
    return submitted.stdout


def jobs(*options: str) -> list[str]:
    """Return the jobs of the cluster, arrays element by element."""
    command = ["squeue", "--noheader", "--array", "--format=%i", *options]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def until(condition, seconds=200.0):
    """Wait for a condition; return what it gave."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "the condition was never met"
        time.sleep(0.2)
    return found


def test_arrays_survive_a_cancelled_and_a_preempted_job(cluster, study_path, tmp_path):
    out, text = tmp_path / "out", "submitted 2 victims and 6 cells as arrays"
    stdout = submit(study_path, out)
    assert stdout.startswith(text)
    _, cells = stdout.splitlines()[0].removeprefix(text).split(",")
    cells = cells.strip()
    waiting = failing_defenses.run(study_path, out, "--launcher", "slurm")
    assert (waiting.returncode, "jobs of this study are in the queue" in waiting.stderr) == (
        2,
        True,
    )
    store = Store(out / "store")
    until(lambda: sum(line.status == "ok" and line.kind == "cell" for line in store.lines()) == 4)
    assert {f"{cells}_0", f"{cells}_1"} == set(jobs("--states=running"))
    command = failing_defenses.command("status", study_path, "--out", out)
    shown = subprocess.run(
        command, env=failing_defenses.environment(), capture_output=True, text=True, check=True
    ).stdout
    assert "2 jobs in the queue: 2 running" in shown
    subprocess.run(["scancel", f"{cells}_0"], check=True)
    preempted = ["scancel", "--signal=USR2", f"{cells}_1"]  # the signal of a preemption
    subprocess.run(preempted, check=True)
    until(lambda: jobs("--states=pending") == [f"{cells}_1"])
    (tmp_path / "go").touch()
    until(lambda: not jobs())
    study = load_study(study_path)
    latest = store.latest()
    done = {
        cell.seed: latest.status(cell.key) for cell in study.cells if cell.defense.name == "slow"
    }
    # the requeued job resumed by itself; the cancelled one did not
    assert done == {0: None, 1: "ok"}
    assert submit(study_path, out).startswith("submitted 0 victims and ")
    until(lambda: not jobs())
    assert failing_defenses.checked(out, "no such mark") == {"ok": 6}
    assert failing_defenses.run(study_path, tmp_path / "local").returncode == 0
    assert failing_defenses.results(out) == failing_defenses.results(tmp_path / "local")


def test_clean_models_are_trained_once_and_before_what_needs_them(cluster, tmp_path):
    study_path, out = failing_defenses.study(tmp_path, bad=()), tmp_path / "out"
    content = {
        **yaml.safe_load(study_path.read_text()),
        "attacks": ["badnets", "blended"],
        "gate": {"acc": 0.0, "acc_margin": 0.1},
    }
    study_path.write_text(yaml.safe_dump(content))
    stdout = submit(study_path, out)
    assert stdout.startswith("submitted 3 victims and 4 cells as arrays")
    assert stdout.splitlines()[0].count(",") == 2
    until(lambda: not jobs())
    assert failing_defenses.checked(out, "no such mark") == {"ok": 4}
    victims = {
        x.name: x.finished for x in Store(out / "store").latest().values() if x.kind == "victim"
    }
    clean, *others = sorted(victims, key=victims.__getitem__)
    assert "/ none /" in clean
    assert len(others) == 2


def test_a_job_that_is_requeued_is_the_same_job(study_path, tmp_path):
    pytest.importorskip("submitit")
    study = load_study(study_path)
    job = StudyJob(run_study, study, tmp_path, Options(Selection(mode="retry", since="2026")))
    assert job.checkpoint().function is job
    assert pickle.loads(pickle.dumps(job)).run is run_study


def test_without_slurm_no_job_is_queued(monkeypatch, study_path, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not queued_jobs(load_study(study_path), Store(tmp_path))
