"""Where workers run: one slot per CPU core, or a share of a GPU each."""

from __future__ import annotations

import os
from typing import NamedTuple

from msgspec import to_builtins

from harness.errors import UserError
from harness.plan.keys import canonical
from harness.plan.study import Study
from harness.store.record import CellRecord, Status, VictimRecord
from harness.store.record_files import LatestRecords

CONTEXT_MB = 600.0
"""What a process needs on a GPU besides its tensors, in MiB."""
SPARE = 1.25
"""Factor for what the allocator reserves beyond the measured peak."""
MOST_PER_GPU = 8


class Slot(NamedTuple):
    """Where one worker runs."""

    device: str
    threads: int
    label: str


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


def slots_for(requested: HardwareRequest, study: Study, latest: LatestRecords) -> list[Slot]:
    """Return the slots of a run: on CPUs one per core, with one thread; on a GPU as many as fit.

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
    most = cores() // len(gpus)
    peak = None if requested.per_gpu else measured_mb(study, latest)
    counts = {gpu: requested.per_gpu or per_gpu(_memory_mb(gpu), peak, most) for gpu in gpus}
    threads = max(1, cores() // sum(counts.values()))
    # first one slot on every GPU, so that few tasks spread over all GPUs
    indices = [(i, gpu) for i in range(max(counts.values())) for gpu in gpus if i < counts[gpu]]
    return [Slot(gpu, threads, f"{gpu}/{i}" if counts[gpu] > 1 else gpu) for i, gpu in indices]


def per_gpu(memory_mb: float, peak_mb: float | None, most: int) -> int:
    """Return how many workers share a GPU: one until their peak memory has been measured."""
    if peak_mb is None:
        return 1
    return max(1, min(MOST_PER_GPU, most, int(memory_mb / (SPARE * peak_mb + CONTEXT_MB))))


def measured_mb(study: Study, latest: LatestRecords) -> float | None:
    """Return the largest peak memory on a GPU of the cells with a model of the study, in MiB."""
    models = {canonical(victim.model.identity) for victim in study.victims().values()}
    same: dict[str, bool] = {}
    peaks = []
    for record in (latest[key] for key in latest if latest.status(key) is Status.OK):
        if not isinstance(record, CellRecord):
            continue
        peak, machine = record.ok_result.peak_mem_mb, record.environment
        if peak is not None and machine is not None and machine.device == "cuda":
            key = record.spec.victim
            if key not in same:
                victim = latest.victim(key)
                same[key] = victim is not None and _model_text(victim) in models
            peaks += [peak] if same[key] else []
    return max(peaks, default=None)


def _model_text(victim: VictimRecord) -> str:
    return canonical(to_builtins(victim.spec.model))


def _gpus(requested: HardwareRequest) -> list[str]:
    """Return the names of the GPUs to use; none for CPUs. Creates no context on any GPU."""
    if requested.gpus is not None and requested.device != "auto":
        raise UserError("--gpus and --device both choose devices; use one of them")
    if requested.device == "cpu":
        return []
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


def _memory_mb(gpu: str) -> float:
    import torch

    if not gpu.startswith("cuda"):
        return 0.0
    return torch.cuda.get_device_properties(torch.device(gpu)).total_memory / 2**20
