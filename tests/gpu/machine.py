"""The machine: versions, and what it does at best."""

from __future__ import annotations

import platform
import subprocess

import torch

from harness.toolbox.numerics import numerics
from harness.training.device import environment
from tests.benchmarks import machine_peak
from tests.gpu.step import Outcome, Setting

QUERY = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,memory.used", "--format=csv"]


def measure(setting: Setting) -> Outcome:
    """Say what the machine is, and measure convolutions and matrix products."""
    here = environment(setting.torch_device)
    values = {
        "hardware": here.hardware,
        "torch": here.torch,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "nvidia-smi": nvidia_smi() if setting.on_gpu else "",
    }
    if not setting.tiny:
        values["TFLOP/s"] = _rates(setting.torch_device)
    return Outcome(passed=True, said=f"{here.hardware}, torch {here.torch}", values=values)


def _rates(device: torch.device) -> dict[str, float]:
    rates = {}
    for kind, dtype in (
        ("fp32", torch.float32),
        ("tf32", torch.float32),
        ("bf16", torch.bfloat16),
    ):
        for name, peak in (
            ("convolutions", machine_peak.convolutions),
            ("matrices", machine_peak.matrices),
        ):
            peak.cache_clear()
            with numerics("tf32" if kind == "tf32" else "fp32", device):
                rates[f"{name} {kind}"] = round(peak(dtype) / 1e12, 2)
            peak.cache_clear()
    return rates


def nvidia_smi(query: list[str] = QUERY) -> str:
    """Return what nvidia-smi says; empty where there is none."""
    try:
        return subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ""
