"""The local pool: whatever happens to workers, supervisor or disk, every task ends once."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from harness.errors import UserError
from harness.execution.gpu_sharing import GpuSharing
from harness.execution.pool import run_pool
from harness.execution.running import running_tasks
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import Slot
from harness.execution.worker import serve
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from harness.study.load import load_study
from tests.helpers import failing_defenses

GOOD = {"none": "ok", "ft": "ok"}


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Return the results of an undisturbed run, and the seconds that it took (at least 5)."""
    found, seconds = failing_defenses.undisturbed(tmp_path_factory.mktemp("undisturbed"))
    assert len(found) == 3
    return found, seconds


def start(study, out, **how):
    arguments = failing_defenses.command(
        "run", study, "--out", out, "--device", "cpu", "--workers", 2
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(arguments, env=failing_defenses.environment(**how), **pipes)


def until(condition, seconds=200.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was never met"
        time.sleep(0.05)


def finished(out):
    return {line.key for line in Store(out / "store").lines() if line.kind == "cell"}


def running(study, out):
    """Return the tasks that run and have printed something."""
    return [x for x in running_tasks(load_study(study), Store(out / "store")) if x.last]


def test_every_cell_ends_once_whatever_happens_to_its_defense_and_its_supervisor(
    tmp_path, reference
):
    good, seconds = reference
    study = failing_defenses.study(tmp_path, timeout=seconds)
    found = failing_defenses.disturbed(study, tmp_path / "out", seed=1, kills=2, longest=8)
    assert found == {"ok": 2, "crash": 3, "error": 2, "timeout": 1, "oom": 1}
    assert failing_defenses.statuses(tmp_path / "out") == failing_defenses.EXPECTED
    assert failing_defenses.results(tmp_path / "out") == good


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_keeps_what_is_finished(tmp_path, reference, number):
    study, out = failing_defenses.study(tmp_path, bad=("hang",)), tmp_path / "out"
    process = start(study, out, **{failing_defenses.MARK: tmp_path.name})
    until(lambda: len(finished(out)) == 2 and running(study, out))
    (task,) = running(study, out)
    assert (task.name.split(" / ")[-2], task.worker[:4], task.last) == ("hang", "cpu ", "asleep")
    assert task.key not in finished(out)
    process.send_signal(number)
    printed, stderr = process.communicate(timeout=100)
    assert process.returncode == 128 + number
    assert "3 cells: 1 missing, 2 ok" in printed
    assert f"ended by {number.name}; finished cells are kept" in stderr
    assert failing_defenses.results(out) == reference[0]
    assert running(study, out) == []
    until(lambda: failing_defenses.alive(f"{failing_defenses.MARK}={tmp_path.name}") == [])


class Listener:
    """Counts the starts; expects no record."""

    def __init__(self):
        self.starts = 0

    def on_start(self, task, slot):
        self.starts += 1

    def on_finish(self, record):
        pytest.fail("it has a record")


def test_a_worker_that_cannot_start_is_no_fault_of_a_task(tmp_path):
    study = load_study(failing_defenses.study(tmp_path, bad=()))
    schedule = Schedule(study, LatestRecords(), Selection())
    store, listener = Store(tmp_path / "store"), Listener()
    sharing = GpuSharing([Slot("cuda:99", 1, "cuda:99")], {})
    message = r"workers on cuda:99 die before they start \(exit code 1\)"
    with pytest.raises(UserError, match=message):
        run_pool(schedule, store, sharing, serve, listener)
    assert listener.starts == 1
    assert store.record_files() == []


def test_two_runs_at_once_share_a_store(tmp_path, reference):
    study, out = failing_defenses.study(tmp_path, bad=()), tmp_path / "out"
    runs = [start(study, out), start(study, out)]
    stderr = [process.communicate(timeout=300)[1] for process in runs]
    assert [process.returncode for process in runs] == [0, 0], stderr
    assert not [text for text in stderr if "leaked" in text]  # as torch's compiler reports at exit
    told = [line for text in stderr for line in text.splitlines() if "already being run by" in line]
    assert len(told) == 1
    assert f"process {runs[0].pid} on " in told[0] or f"process {runs[1].pid} on " in told[0]
    assert failing_defenses.results(out) == reference[0]
    lines = list(Store(out / "store").lines())
    assert 3 <= len(lines) <= 6  # at worst, each is run twice


@pytest.fixture
def written_anywhere(tmp_path):
    """Return a folder in which an own defense may write; its own folder ends with it."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as name:
        yield Path(name)


def test_a_task_short_of_memory_is_tried_again_alone(tmp_path, written_anywhere):
    study, out = failing_defenses.study(tmp_path, bad=("greedy",)), tmp_path / "out"
    log = written_anywhere / "log"
    source = study.with_name("greedy.py")
    body = f"open({str(log)!r}, 'a').write(f'{{os.getppid()}} {{os.getpid()}}\\n'); "
    source.write_text(
        source.read_text()
        .replace("import resource", "import os, resource")
        .replace("    resource.", f"    {body}resource.")
    )
    assert failing_defenses.run(study, out).returncode == 1
    assert failing_defenses.statuses(out) == {**GOOD, "greedy": "oom"}
    tries = log.read_text().split("\n")[:-1]
    assert len(tries) == len(set(tries)) == 2  # twice, the second time in a new process


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder]
    done = (
        subprocess.run(mount, capture_output=True, text=True, check=False)
        if os.geteuid() == 0
        else None
    )
    if done is None or done.returncode:
        pytest.skip("a small file system is mounted by root only" if done is None else done.stderr)
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_full_disk_is_reported_and_a_later_run_resumes(small_disk, tmp_path, reference):
    study, out = failing_defenses.study(tmp_path, bad=()), small_disk / "out"
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
    os.truncate(ballast, ballast.stat().st_size - 64 * 1024)  # room for folders and one record
    full = failing_defenses.run(study, out)
    assert full.returncode == 2
    assert "records can't be written: [Errno 28] No space left on device" in full.stderr
    assert "Traceback" not in full.stderr
    store = Store(out / "store")
    assert all(
        path.read_bytes().endswith(b"\n") for path in store.record_files() if path.stat().st_size
    )
    assert [path.name for path in store.artifacts_folder.glob("*/.*")] == []
    ballast.unlink()
    assert failing_defenses.run(study, out).returncode == 0
    assert failing_defenses.results(out) == reference[0]
    shutil.rmtree(out)
