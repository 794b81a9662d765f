"""How many workers share a GPU: a few until cells were measured, then as many as fit."""

import subprocess
import types

import msgspec
import pytest
import torch

from harness.execution.gpu_sharing import GpuSharing, fitting, measured_mb, share_gpus
from harness.execution.pool import _Pool
from harness.execution.schedule import Schedule
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest, Slot
from tests.helpers.records import ENVIRONMENT
from tests.helpers.timed_study import latest_of, records_of_seed

SLOTS = [Slot("cuda:0", 2, f"cuda:0/{i}", i) for i in range(8)]
TOTAL_MB, FREE_MB = 80_000, 20_000


@pytest.fixture
def gpu(monkeypatch):
    """One GPU, a part of whose memory others have, and 16 cores."""
    properties = types.SimpleNamespace(uuid="1-2", total_memory=TOTAL_MB * 2**20)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr("harness.execution.gpu_sharing.cores", lambda: 16)

    def nvidia_smi(command, **_):
        assert command[:2] == ["nvidia-smi", "--id=GPU-1-2"]
        return types.SimpleNamespace(stdout=f"{FREE_MB}\n")

    monkeypatch.setattr(subprocess, "run", nvidia_smi)


def test_what_fits_into_the_memory():
    assert fitting(80_000, 1000) == 43
    assert fitting(8000, 3000) == 1
    assert fitting(100, 3000) == 1
    assert fitting(10_000, 3000) == 2


def test_the_memory_of_a_study_is_that_of_its_models_on_gpus(study):
    assert measured_mb(study, latest_of(*records_of_seed(study, 0))) == 1000
    assert measured_mb(study, latest_of(*records_of_seed(study, 0, ENVIRONMENT))) is None
    victim, *cells = records_of_seed(study, 0)
    model = msgspec.structs.replace(victim.spec.model, hyper={"width": 64})
    other = msgspec.structs.replace(victim, spec=msgspec.structs.replace(victim.spec, model=model))
    assert measured_mb(study, latest_of(other, *cells)) is None


def test_a_first_run_starts_with_a_few_workers_and_widens_as_records_come_in(study, gpu):
    sharing = share_gpus(HardwareRequest(), SLOTS, study, latest_of())
    assert sharing.workers() == 4
    victim, cell, *_ = records_of_seed(study, 0)
    sharing.add(victim)
    assert sharing.workers() == 4, "what a victim takes is not measured"
    sharing.add(cell)
    assert sharing.workers() == 8
    large = msgspec.structs.replace(
        cell, result=msgspec.structs.replace(cell.result, peak_mem_mb=5000.0)
    )
    sharing.add(large)
    assert sharing.workers() == 2, "20,000 MiB are free, not the 80,000 that the card has"
    sharing.add(cell)
    assert sharing.workers() == 2, "the largest counts"


def test_a_later_run_starts_with_what_the_records_say(study, gpu):
    latest = latest_of(*records_of_seed(study, 0))
    assert share_gpus(HardwareRequest(), SLOTS, study, latest).workers() == 8


def test_all_memory_counts_as_free_where_nobody_can_tell(study, gpu, monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError("nvidia-smi")

    monkeypatch.setattr(subprocess, "run", missing)
    cell = records_of_seed(study, 0)[1]
    large = msgspec.structs.replace(
        cell, result=msgspec.structs.replace(cell.result, peak_mem_mb=20_000.0)
    )
    sharing = share_gpus(HardwareRequest(), SLOTS, study, latest_of())
    sharing.add(large)
    assert sharing.workers() == 3


def test_few_cores_are_not_shared_by_many_workers(study, gpu, monkeypatch):
    monkeypatch.setattr("harness.execution.gpu_sharing.cores", lambda: 6)
    assert share_gpus(HardwareRequest(), SLOTS[:6], study, latest_of()).workers() == 1


def test_what_the_user_says_counts_and_cpus_are_always_open(study):
    assert share_gpus(HardwareRequest(per_gpu=8), SLOTS, study, latest_of()).workers() == 8
    cpus = [Slot("cpu", 1, f"cpu {i}") for i in range(3)]
    assert share_gpus(HardwareRequest(), cpus, study, latest_of()).workers() == 3


def test_one_worker_is_always_open():
    sharing = GpuSharing(SLOTS, {"cuda:0": 1000.0}, peak_mb=900.0)
    assert [sharing.is_open(slot) for slot in SLOTS] == [True] + [False] * 7


class _Worker:
    """An idle worker process."""

    task = current_victim = current_model = None
    stops = 0

    def __init__(self, slot):
        self.slot = slot

    def stop(self):
        self.stops += 1


def test_a_closed_slot_takes_no_task_and_gives_its_memory_back(study):
    workers = [_Worker(slot) for slot in SLOTS[:2]]
    sharing = GpuSharing(SLOTS, {"cuda:0": 1000.0}, peak_mb=900.0)
    schedule = Schedule(study, latest_of(), Selection())
    pool = _Pool(schedule, None, workers, sharing, None, None)
    assert pool.next_task(workers[1]) is None
    assert [worker.stops for worker in workers] == [0, 1]
    assert pool.next_task(workers[0]) is not None
