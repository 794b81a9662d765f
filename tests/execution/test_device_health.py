"""A GPU that fails is given up, and what failed on it runs elsewhere: with workers that pretend."""

import multiprocessing
import os
import signal
import sys
import time
from multiprocessing import forkserver

import pytest

from harness.errors import UserError
from harness.execution import worker_process
from harness.execution.device_health import DeviceHealth, method_of
from harness.execution.gpu_sharing import GpuSharing
from harness.execution.pool import run_pool
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import Slot
from harness.execution.task import Task, WorkerReady
from harness.execution.worker_process import WorkerProcess
from harness.store.record import Failure, Run, Status
from harness.store.record_files import LatestRecords
from harness.store.store import Store
from tests.helpers import timed_study, tiny_study

ECC = Failure(Status.CRASH, "AcceleratorError: CUDA error: uncorrectable ECC error encountered")


def ended(task, failure=None):
    return timed_study.finished(task.subject) if failure is None else task.failed(failure, Run(1.0))


def serve(pipe, store_folder, slot, inherited):
    """Be a worker on a GPU: cuda:0 is well, what runs on cuda:1 crashes, cuda:2 does not start."""
    os.setsid()
    if slot.device == "cuda:2":
        sys.exit(1)
    pipe.send(WorkerReady())
    while (task := pipe.recv()) is not None:
        time.sleep(0.3 if slot.device == "cuda:0" else 0)
        pipe.send(ended(task, ECC if slot.device == "cuda:1" else None))


def serve_a_bad_method(pipe, store_folder, slot, inherited):
    """Be a worker on which one defense always crashes."""
    os.setsid()
    pipe.send(WorkerReady())
    while (task := pipe.recv()) is not None:
        bad = task.cell is not None and task.cell.defense.name == "fp"
        pipe.send(ended(task, ECC if bad else None))


def serve_forever(pipe, store_folder, slot, inherited):
    """Be a worker that does nothing."""
    os.setsid()
    time.sleep(1000)


class Listener:
    """Keeps what it is told."""

    def __init__(self):
        self.records, self.told, self.running = [], [], set()

    def on_start(self, task, slot):
        self.running.add(task.key)

    def on_set_aside(self, task):
        self.running.remove(task.key)

    def on_finish(self, record):
        self.running.discard(record.key)
        self.records.append(record)

    def on_give_up(self, reason):
        self.told.append(reason)


def run(study, folder, devices, work=serve):
    listener = Listener()
    schedule = Schedule(study, LatestRecords(), Selection())
    sharing = GpuSharing([Slot(device, 1, device) for device in devices], {})
    try:
        run_pool(schedule, Store(folder / "store"), sharing, work, listener)
    except UserError as error:
        return listener, str(error)
    return listener, ""


@pytest.fixture(autouse=True)
def _no_grace(monkeypatch):
    monkeypatch.setattr("harness.execution.pool.DEATH_GRACE", 0)


def test_the_tasks_of_a_gpu_that_fails_them_in_a_row_are_run_by_the_others(study, tmp_path):
    listener, error = run(study, tmp_path, ["cuda:1", "cuda:0"])
    assert error == ""
    assert len(listener.records) == len({record.key for record in listener.records}) == 21
    assert {record.status for record in listener.records} == {"ok"}
    assert len(listener.told) == 1
    assert listener.told[0].startswith("tasks on cuda:1 crashed, ")
    assert "in a row (AcceleratorError: CUDA error: uncorrectable ECC" in listener.told[0]


def test_three_crashes_in_a_row_are_the_gpus_fault_unless_all_are_of_one_method():
    for methods, broken in (
        (["ft"] * 9, False),
        (["ft", "anp"], False),
        (["ft", "ft", "anp"], True),
    ):
        assert DeviceHealth("cuda:0", crashed_methods=methods).is_broken is broken
    health = DeviceHealth("cuda:0", crashed_methods=["ft", "ft", "anp"])
    health.release()
    assert not health.is_broken, "something has ended well since"


def test_a_probe_is_a_method_whatever_it_probes(tmp_path):
    path = tiny_study.write_study(tmp_path, probes=["tac"], gate={"acc": 0.0, "acc_margin": 1.0})
    runs = tiny_study.load(path).probe_runs
    assert len(runs) > 2
    assert {method_of(Task(x.victim, x.cell, probe=x)) for x in runs} == {"tac"}


def test_a_gpu_on_which_no_worker_starts_is_given_up(study, tmp_path):
    listener, error = run(study, tmp_path, ["cuda:2", "cuda:0"])
    assert error == ""
    assert listener.told == [
        "workers on cuda:2 die before they start (exit code 1); see above",
    ]
    assert [record.status for record in listener.records] == ["ok"] * 21


def test_the_run_ends_when_no_device_is_left(study, tmp_path):
    listener, error = run(study, tmp_path, ["cuda:2"])
    assert "no other device is left" in error
    assert listener.records == []


def test_a_method_that_always_crashes_costs_its_own_cells_alone(study, tmp_path):
    listener, error = run(study, tmp_path, ["cuda:0"], serve_a_bad_method)
    assert (error, listener.told) == ("", [])
    found = {record.name: record.status for record in listener.records}
    assert len(found) == 21
    assert {name for name, status in found.items() if status == "crash"} == {
        name for name in found if "/ fp /" in name
    }


def test_a_process_that_does_not_end_is_left_behind(tmp_path, monkeypatch, study):
    monkeypatch.setattr(worker_process, "JOIN_LIMIT", 0.5)
    worker = WorkerProcess(Slot("cuda:0", 1, "cuda:0"), tmp_path, serve_forever)
    worker.assign(Schedule(study, LatestRecords(), Selection()).next(None))
    server = forkserver._forkserver._forkserver_pid
    os.kill(server, signal.SIGSTOP)  # nobody tells how the worker ends
    try:
        assert worker.stop() == "it still runs 0.5 s after it was killed"
        assert worker.waitables() == []
        assert multiprocessing.active_children() == []
    finally:
        os.kill(server, signal.SIGCONT)
