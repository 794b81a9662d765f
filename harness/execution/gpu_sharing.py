"""How many workers share a GPU: a few at first, then as many as fit by what cells have taken."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence

from msgspec import to_builtins

from harness.execution.slots import HardwareRequest, Slot, cores
from harness.plan.keys import canonical
from harness.plan.study import Study
from harness.store.record import CellRecord, Status, TaskRecord, VictimRecord
from harness.store.record_files import LatestRecords

CONTEXT_MB = 600.0
"""What a process needs on a GPU besides its tensors, in MiB."""
SPARE = 1.25
"""Factor for what the allocator reserves beyond the measured peak."""
FIRST = 4
"""The most workers on a GPU before a cell was measured."""
CORES_OF_FIRST = 4
"""CPU cores for each of these."""


class GpuSharing:
    """Which slots may take tasks now.

    Args:
        slots: all that the run may ever use.
        free_mb: memory of each GPU that is shared by what cells take, in MiB; slots on other
            devices are always open.
        peak_mb: the largest peak of a cell so far; None if none was measured.
    """

    def __init__(
        self, slots: Sequence[Slot], free_mb: Mapping[str, float], peak_mb: float | None = None
    ) -> None:
        self.slots = slots
        self._free_mb = free_mb
        self._peak_mb = peak_mb
        self._closed: set[str] = set()
        """Devices that are not used any more."""

    def is_open(self, slot: Slot) -> bool:
        """Tell whether a slot may take a task."""
        if slot.device in self._closed:
            return False
        if slot.device not in self._free_mb:
            return True
        if self._peak_mb is None:
            return slot.number < max(1, min(FIRST, cores() // CORES_OF_FIRST // len(self._free_mb)))
        return slot.number < fitting(self._free_mb[slot.device], self._peak_mb)

    def close(self, device: str) -> None:
        """Let no slot of a device take a task any more."""
        self._closed.add(device)

    def workers_on(self, device: str) -> int:
        """Return how many slots of a device are open."""
        return sum(self.is_open(slot) for slot in self.slots if slot.device == device)

    def workers(self) -> int:
        """Return how many slots are open."""
        return sum(map(self.is_open, self.slots))

    def add(self, record: TaskRecord) -> None:
        """Learn from the record of a cell of this run what cells take."""
        peak = _peak_mb(record)
        if peak is not None:
            self._peak_mb = max(peak, self._peak_mb or 0.0)


def share_gpus(
    requested: HardwareRequest, slots: Sequence[Slot], study: Study, latest: LatestRecords
) -> GpuSharing:
    """Return how a run shares its GPUs: by what its records say, or as the user says."""
    shared = {slot.device for slot in slots if slot.number > 0}
    if requested.per_gpu is not None or not shared:
        return GpuSharing(slots, {})
    return GpuSharing(slots, {gpu: _free_mb(gpu) for gpu in shared}, measured_mb(study, latest))


def fitting(free_mb: float, peak_mb: float) -> int:
    """Return how many workers fit on a GPU; at least one."""
    return max(1, int(free_mb / (SPARE * peak_mb + CONTEXT_MB)))


def measured_mb(study: Study, latest: LatestRecords) -> float | None:
    """Return the largest peak memory on a GPU of the cells with a model of the study, in MiB."""
    models = {canonical(victim.model.identity) for victim in study.victims().values()}
    same: dict[str, bool] = {}
    peaks = []
    for record in (latest[key] for key in latest if latest.status(key) is Status.OK):
        peak = _peak_mb(record)
        if peak is not None and isinstance(record, CellRecord):
            key = record.spec.victim
            if key not in same:
                victim = latest.victim(key)
                same[key] = victim is not None and _model_text(victim) in models
            peaks += [peak] if same[key] else []
    return max(peaks, default=None)


def _peak_mb(record: object) -> float | None:
    """Return the peak memory of a cell that ran on a GPU."""
    if not isinstance(record, CellRecord) or record.status.failed or record.environment is None:
        return None
    return record.ok_result.peak_mem_mb if record.environment.device == "cuda" else None


def _model_text(victim: VictimRecord) -> str:
    return canonical(to_builtins(victim.spec.model))


def _free_mb(gpu: str) -> float:
    """Return the memory of a GPU that no other program has, in MiB; all of it if unknown.

    ``nvidia-smi`` is asked, because torch would open a context of this process on the GPU.
    """
    import torch

    properties = torch.cuda.get_device_properties(torch.device(gpu))
    query = ["--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    try:
        answer = subprocess.run(
            ["nvidia-smi", f"--id=GPU-{properties.uuid}", *query],
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return float(answer.stdout)
    except (OSError, subprocess.SubprocessError, ValueError, AttributeError):
        return float(properties.total_memory / 2**20)
