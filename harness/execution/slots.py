"""Where workers run: one slot per CPU core, or a share of a GPU each."""

from __future__ import annotations

import os
from typing import NamedTuple

from harness.errors import UserError
from harness.plan.keys import canonical
from harness.plan.spec import Study
from harness.store.record_files import LatestRecords

CONTEXT_MB = 600.0
"""What a process holds on a GPU beside its tensors."""
SPARE = 1.25
"""Room for what an allocator keeps beyond the measured peak."""
MOST_PER_GPU = 8


class Slot(NamedTuple):
    """Where one worker runs."""

    device: str
    threads: int
    label: str

    @property
    def takes_cohorts(self) -> bool:
        """Whether cells are run at once here that can be: on a CPU that saves nothing."""
        return self.device.startswith("cuda")


class HardwareRequest(NamedTuple):
    """What a user asks for; None leaves it to what is there."""

    device: str = "auto"
    workers: int | None = None
    """On CPUs: how many."""
    gpus: tuple[int, ...] | None = None
    per_gpu: int | None = None


def cores() -> int:
    """Return how many cores this process may use; inside a SLURM job, how many the job was given."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    given = os.environ.get("SLURM_CPUS_ON_NODE", "")
    return min(mine, int(given)) if given.isdigit() else mine


def slots_for(asked: HardwareRequest, study: Study, latest: LatestRecords) -> list[Slot]:
    """Return the slots to fill: on CPUs one thread each, one per core; on each GPU as many as fit.

    Raises:
        UserError: no such device, or a number that does not go with it.
    """
    gpus = _gpus(asked)
    if not gpus:
        if asked.per_gpu is not None:
            raise UserError("--per-gpu: there is no GPU here; CPU workers are counted by --workers")
        return [Slot("cpu", 1, f"cpu {i}") for i in range(asked.workers or cores())]
    if asked.workers is not None:
        raise UserError(
            "--workers counts CPU workers; on GPUs give --per-gpu, or take --device cpu"
        )
    most = cores() // len(gpus)
    peak = None if asked.per_gpu else measured_mb(study, latest)
    shares = {gpu: asked.per_gpu or per_gpu(_memory_mb(gpu), peak, most) for gpu in gpus}
    threads = max(1, cores() // sum(shares.values()))
    # share by share, so that few tasks spread over all GPUs
    places = [(i, gpu) for i in range(max(shares.values())) for gpu in gpus if i < shares[gpu]]
    return [Slot(gpu, threads, f"{gpu}/{i}" if shares[gpu] > 1 else gpu) for i, gpu in places]


def per_gpu(memory_mb: float, peak_mb: float | None, most: int) -> int:
    """Return how many workers with a peak of ``peak_mb`` share a GPU; one while nothing was measured."""
    if peak_mb is None:
        return 1
    return max(1, min(MOST_PER_GPU, most, int(memory_mb / (SPARE * peak_mb + CONTEXT_MB))))


def measured_mb(study: Study, latest: LatestRecords) -> float | None:
    """Return the largest peak memory that any cell on one of the study's models has had on a GPU."""
    models = {canonical(victim.model.identity) for victim in study.victims().values()}
    same: dict[str, bool] = {}
    peaks = []
    for record in (latest[key] for key in latest if latest.status(key) == "ok"):
        if record["kind"] == "cell" and record.get("environment", {}).get("device") == "cuda":
            victim = record["spec"]["victim"]
            if victim not in same:
                same[victim] = (
                    victim in latest and canonical(latest[victim]["spec"]["model"]) in models
                )
            peak = record["result"].get("peak_mem_mb")
            peaks += [float(peak)] if same[victim] and peak is not None else []
    return max(peaks, default=None)


def _gpus(asked: HardwareRequest) -> list[str]:
    """Return the names of the GPUs to use; none for CPUs. No context is made on any of them."""
    if asked.gpus is not None and asked.device != "auto":
        raise UserError("--gpus and --device name devices twice; give one of them")
    if asked.device == "cpu":
        return []
    import torch

    count = torch.cuda.device_count()
    if absent := [number for number in asked.gpus or () if number >= count]:
        raise UserError(f"--gpus: no GPU {absent[0]} here; there are {count}")
    if asked.gpus is not None or asked.device == "auto":
        return [
            f"cuda:{number}"
            for number in dict.fromkeys(range(count) if asked.gpus is None else asked.gpus)
        ]
    from harness.training.device import device_named

    return [str(device_named(asked.device))]


def _memory_mb(gpu: str) -> float:
    import torch

    if not gpu.startswith("cuda"):
        return 0.0
    return torch.cuda.get_device_properties(torch.device(gpu)).total_memory / 2**20
