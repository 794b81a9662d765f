"""Where workers run: CPU cores, and GPUs by measured memory."""

import sys

import msgspec
import pytest

from harness.errors import UserError
from harness.execution.slots import HardwareRequest, measured_mb, per_gpu, slots_for
from harness.store.record_files import LatestRecords
from tests.helpers.records import ENVIRONMENT
from tests.helpers.timed_study import latest_of, records_of_seed


def test_gpus_are_shared_by_measured_memory(study):
    assert measured_mb(study, latest_of(*records_of_seed(study, 0))) == 1000
    assert measured_mb(study, latest_of(*records_of_seed(study, 0, ENVIRONMENT))) is None
    assert per_gpu(80_000, None, 16) == 1
    assert per_gpu(80_000, 1000, 16) == 8
    assert per_gpu(80_000, 1000, 4) == 4
    assert per_gpu(8000, 3000, 16) == 1
    assert per_gpu(10_000, 3000, 16) == 2


def test_memory_of_other_models_does_not_count(study):
    victim, *cells = records_of_seed(study, 0)
    model = msgspec.structs.replace(victim.spec.model, hyper={"width": 64})
    other = msgspec.structs.replace(victim, spec=msgspec.structs.replace(victim.spec, model=model))
    assert measured_mb(study, latest_of(other, *cells)) is None


def test_cpu_slots(study, monkeypatch):
    slots = slots_for(HardwareRequest("cpu", workers=3), study, LatestRecords())
    assert [(slot.device, slot.threads, slot.label) for slot in slots] == [
        ("cpu", 1, f"cpu {i}") for i in range(3)
    ]
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert len(slots_for(HardwareRequest("cpu"), study, LatestRecords())) == 1


class _FakeCuda:
    """Answers for two GPUs of 10 GB: the machines that run the tests have none."""

    def device_count(self):
        return 2

    def get_device_properties(self, device):
        return type("Properties", (), {"total_memory": 10_000 * 2**20})


class _FakeTorch:
    cuda = _FakeCuda()
    device = str


def test_gpu_slots_spread_over_the_gpus(study, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", _FakeTorch())
    monkeypatch.setattr("harness.execution.slots.cores", lambda: 16)

    def labels(request):
        return [slot.label for slot in slots_for(request, study, LatestRecords())]

    assert labels(HardwareRequest(gpus=(0, 1), per_gpu=2)) == [
        "cuda:0/0",
        "cuda:1/0",
        "cuda:0/1",
        "cuda:1/1",
    ]
    assert labels(HardwareRequest()) == ["cuda:0", "cuda:1"]
    latest = latest_of(*records_of_seed(study, 0))
    slots = slots_for(HardwareRequest(gpus=(1,)), study, latest)
    assert [(slot.device, slot.threads) for slot in slots] == [("cuda:1", 3)] * 5
    for request, message in (
        (HardwareRequest(gpus=(2,)), "this machine has no GPU 2; it has 2"),
        (HardwareRequest(workers=2), "--workers is for CPU workers"),
        (HardwareRequest("cuda:0", gpus=(0,)), "--gpus and --device both choose devices"),
    ):
        with pytest.raises(UserError, match=message):
            slots_for(request, study, LatestRecords())


def test_workers_share_no_gpu_where_there_is_none(study):
    with pytest.raises(UserError, match="--per-gpu: this machine has no GPU"):
        slots_for(HardwareRequest("cpu", per_gpu=2), study, LatestRecords())
