"""Devices other than CPUs and CUDA GPUs, as far as a machine without any can tell."""

import os
import types

import pytest
import torch

from harness.errors import UserError
from harness.execution.slots import HardwareRequest, slots_for
from harness.training import device as devices

PRETENDED = ["mps", "xpu"]


@pytest.mark.parametrize("name", PRETENDED)
def test_another_accelerator_gets_one_worker_and_the_cpu_for_what_it_lacks(name, monkeypatch):
    variable = f"PYTORCH_ENABLE_{name.upper()}_FALLBACK"
    monkeypatch.setenv(variable, "1")  # so that it is put back
    monkeypatch.delenv(variable)
    monkeypatch.setattr(devices, "select_device", torch.device)
    (slot,) = slots_for(HardwareRequest(name))
    assert (slot.device, slot.label) == (name, name)
    assert os.environ[variable] == "1"


@pytest.mark.parametrize("name", PRETENDED)
def test_a_machine_without_one_says_so(name):
    if getattr(torch, name).is_available():
        pytest.skip(f"this machine has {name}")
    with pytest.raises(UserError, match=f"device '{name}' is not available on this machine: "):
        devices.select_device(name)


def test_work_is_waited_for_where_it_runs_aside(monkeypatch):
    waited = []
    for name in ("cuda", "mps", "xpu"):
        module = types.SimpleNamespace(synchronize=lambda name=name: waited.append(name))
        monkeypatch.setattr(torch, name, module)
        devices.wait_for(torch.device(name))
    devices.wait_for(torch.device("cpu"))
    assert waited == ["cuda", "mps", "xpu"]
