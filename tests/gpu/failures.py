"""What goes wrong on a device becomes a record, and the next cell runs."""

from __future__ import annotations

import time

from rich.console import Console

from harness.execution.options import Options
from harness.execution.run import run_study
from harness.execution.selection import Selection
from harness.execution.slots import HardwareRequest
from harness.store.record import CellRecord
from harness.store.store import store_of
from harness.study.load import load_study
from tests.gpu.machine import nvidia_smi
from tests.gpu.pictures import write_study
from tests.gpu.step import Checks, Outcome, Setting

METHOD = '''"""{name}, to see what becomes of it."""
import os
import time

import torch

from harness.contract import defense


@defense(paper="", year=0, family="control")
def {name}(model, budget, hyper, ctx):
    {body}
    return model
'''
BODIES = {
    "outside": "torch.arange(2).to(ctx.device)[torch.tensor([9]).to(ctx.device)].sum().item()",
    "greedy": "torch.empty(1 << 46, dtype=torch.uint8, device=ctx.device)",
    "killed": "os.kill(os.getpid(), 9)",
    "hangs": "time.sleep(1e6)",
}
"""By the defense's name: what it does. An index outside is a device-side assert on CUDA."""
TIMEOUT = 30.0
LEFT_MB = 200.0
"""The most memory that may stay taken when all workers have ended, in MiB."""
MEMORY = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]


def provoke(setting: Setting) -> Outcome:
    """Run defenses that fail in a way of their own, with good ones among them."""
    bad = [name for name in BODIES if not (setting.tiny and name == "hangs")]
    folder = setting.out / "failures"
    folder.mkdir(parents=True, exist_ok=True)
    for name in bad:
        method = METHOD.format(name=name, body=BODIES[name])
        (folder / f"{name}.py").write_text(method, encoding="utf-8")
    defenses = [
        x for name in bad for x in (f"./{name}.py", {"ft": {"epochs": 1 + bad.index(name)}})
    ]
    study = load_study(write_study(folder, defenses=defenses, timeout=TIMEOUT))
    on_cuda = setting.torch_device.type == "cuda"
    before = _memory_mb()
    hardware = HardwareRequest(setting.device, None if setting.on_gpu else 2)
    options = Options(Selection(mode="force"), hardware)
    latest = run_study(study, store_of(folder / "out"), options, Console(quiet=True))
    expected = {
        "outside": "crash" if on_cuda else "error",
        "greedy": "oom",
        "killed": "crash",
        "hangs": "timeout",
    }
    checks = Checks()
    for record in latest.values():
        if isinstance(record, CellRecord):
            name = record.spec.defense.name
            passed = record.status == expected.get(name, "ok")
            checks.add(record.name.partition(" / ")[2], str(record.status), passed=passed)
    if on_cuda and before is not None:
        time.sleep(2)
        left = (_memory_mb() or 0.0) - before
        checks.add("memory left taken, MiB", left, passed=left <= LEFT_MB)
    return checks.outcome("cells ended as they should")


def _memory_mb() -> float | None:
    lines = nvidia_smi(MEMORY).split()
    return float(lines[0]) if lines else None
