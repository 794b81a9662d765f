"""Where workers run: CPU cores, and shares of GPUs."""

import sys

import pytest

from harness.errors import UserError
from harness.execution.slots import HardwareRequest, slots_for


def test_cpu_slots(monkeypatch):
    slots = slots_for(HardwareRequest("cpu", workers=3))
    assert [(slot.device, slot.threads, slot.label) for slot in slots] == [
        ("cpu", 1, f"cpu {i}") for i in range(3)
    ]
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "1")
    assert len(slots_for(HardwareRequest("cpu"))) == 1


class _FakeCuda:
    """Answers for two GPUs: the machines that run the tests have none."""

    def device_count(self):
        return 2


class _FakeTorch:
    cuda = _FakeCuda()
    device = str


def test_gpu_slots_spread_over_the_gpus(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", _FakeTorch())
    monkeypatch.setattr("harness.execution.slots.cores", lambda: 16)

    def labels(request):
        return [slot.label for slot in slots_for(request)]

    assert labels(HardwareRequest(gpus=(0, 1), per_gpu=2)) == [
        "cuda:0/0",
        "cuda:1/0",
        "cuda:0/1",
        "cuda:1/1",
    ]
    assert labels(HardwareRequest(per_gpu=1)) == ["cuda:0", "cuda:1"]
    slots = slots_for(HardwareRequest(gpus=(1,)))
    assert [(slot.device, slot.threads, slot.number) for slot in slots] == [
        ("cuda:1", 2, i) for i in range(8)
    ]
    for request, message in (
        (HardwareRequest(gpus=(2,)), "this machine has no GPU 2; it has 2"),
        (HardwareRequest(workers=2), "--workers is for CPU workers"),
        (HardwareRequest("cuda:0", gpus=(0,)), "--gpus and --device both choose devices"),
    ):
        with pytest.raises(UserError, match=message):
            slots_for(request)


def test_workers_share_no_gpu_where_there_is_none():
    with pytest.raises(UserError, match="--per-gpu: this machine has no GPU"):
        slots_for(HardwareRequest("cpu", per_gpu=2))
