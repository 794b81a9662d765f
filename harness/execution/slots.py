"""Where workers run: one slot per CPU core, or a share of a GPU each."""

from __future__ import annotations

import os
from typing import NamedTuple

from harness.errors import UserError

MOST_PER_GPU = 8
"""Workers, unless the user says otherwise."""
CPU_FALLBACK = {"mps": "PYTORCH_ENABLE_MPS_FALLBACK", "xpu": "PYTORCH_ENABLE_XPU_FALLBACK"}
"""By kind of device: the variable with which torch runs on the CPU, after one warning each, what
the device has no operation for. Read when torch is imported."""


class Slot(NamedTuple):
    """Where one worker runs."""

    device: str
    threads: int
    label: str
    number: int = 0
    """Counts the slots of a GPU."""


class HardwareRequest(NamedTuple):
    """What a user asks for; None: use what the machine has."""

    device: str = "auto"
    workers: int | None = None
    """CPU workers."""
    gpus: tuple[int, ...] | None = None
    """Numbers of the GPUs to use."""
    per_gpu: int | None = None
    """Workers that share a GPU."""


def cores() -> int:
    """Return how many cores this process may use; in a SLURM job, those that the job was given."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    of_job = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(usable, int(of_job)) if of_job.isdigit() else usable


def slots_for(requested: HardwareRequest) -> list[Slot]:
    """Return the slots that a run may use: on CPUs one per core, with one thread; several per GPU.

    Raises:
        UserError: the device does not exist, or the options contradict each other.
    """
    gpus = _gpus(requested)
    if not gpus:
        if requested.per_gpu is not None:
            raise UserError("--per-gpu: this machine has no GPU; use --workers for CPU workers")
        return [Slot("cpu", 1, f"cpu {i}") for i in range(requested.workers or cores())]
    if requested.workers is not None:
        raise UserError(
            "--workers is for CPU workers; on GPUs use --per-gpu, or choose --device cpu"
        )
    sharing = gpus[0].startswith("cuda")
    most = max(1, min(MOST_PER_GPU, cores() // len(gpus))) if sharing else 1
    per_gpu = requested.per_gpu or most
    threads = max(1, cores() // (per_gpu * len(gpus)))
    # first one slot on every GPU, so that few tasks spread over all GPUs
    return [
        Slot(gpu, threads, f"{gpu}/{i}" if per_gpu > 1 else gpu, i)
        for i in range(per_gpu)
        for gpu in gpus
    ]


def _gpus(requested: HardwareRequest) -> list[str]:
    """Return the names of the GPUs to use; none for CPUs. Creates no context on any GPU."""
    if requested.gpus is not None and requested.device != "auto":
        raise UserError("--gpus and --device both choose devices; use one of them")
    if requested.device == "cpu":
        return []
    if (variable := CPU_FALLBACK.get(requested.device.partition(":")[0])) is not None:
        os.environ.setdefault(variable, "1")
    import torch

    count = torch.cuda.device_count()
    if absent := [number for number in requested.gpus or () if number >= count]:
        raise UserError(f"--gpus: this machine has no GPU {absent[0]}; it has {count}")
    if requested.gpus is not None or requested.device == "auto":
        return [
            f"cuda:{number}"
            for number in dict.fromkeys(range(count) if requested.gpus is None else requested.gpus)
        ]
    from harness.training.device import select_device

    return [str(select_device(requested.device))]
