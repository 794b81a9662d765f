"""What a run needs besides time: memory of a GPU, by its records or by known costs, and disk."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import NamedTuple

from msgspec import convert, to_builtins

from harness.execution.costs import SAMPLE, cell_bytes, cell_disk, victim_bytes, victim_disk
from harness.plan.keys import canonical
from harness.plan.spec import Cell, Victim
from harness.store.record import CellRecord, CellSpec, MethodIdentity, VictimRecord, VictimSpec
from harness.store.record_files import LatestRecords


class Demand(NamedTuple):
    """What the tasks of a run need."""

    gpu: float
    """Bytes of a GPU that the largest task takes, beside those of the driver."""
    largest: str
    """The attack or the defense of that task."""
    measured: bool
    """Whether a record on a GPU says so, of the same method on the same network."""
    disk: float
    """Bytes of all new files."""

    def __str__(self) -> str:
        """Return them in one line."""
        source = "measured" if self.measured else "a rough estimate"
        return (
            f"needs  {_size(self.disk)} of disk; on a GPU {_size(self.gpu)} of its memory a worker "
            f"(most for {self.largest}; {source}, without what the driver takes)"
        )


def demand_of(tasks: Iterable[Victim | Cell], latest: LatestRecords) -> Demand:
    """Return what open victims and cells need."""
    measured = _measured(latest)
    disk, largest = 0.0, (0.0, "no method", False)
    for count, task in _alike(tasks):
        victim = task if isinstance(task, Victim) else task.victim
        spec, data = convert(victim.spec, VictimSpec), victim.data
        if isinstance(task, Victim):
            method, expected = spec.attack, victim_bytes(spec, data)
            label, files = task.attack.label, victim_disk(spec, data)
        else:
            cell = convert(task.spec, CellSpec)
            method, expected = cell.defense, cell_bytes(cell, spec.model, data)
            label, files = task.defense.label, cell_disk(spec.model, data, keep_model=task.keep)
        known = measured.get(_kind(method, spec))
        largest = max(largest, (known or expected, label, known is not None))
        disk += count * files
    return Demand(*largest, disk)


def _alike(tasks: Iterable[Victim | Cell]) -> Iterable[tuple[int, Victim | Cell]]:
    """Return one task of each kind, and how many there are."""
    kinds: dict[Hashable, tuple[int, Victim | Cell]] = {}
    for task in tasks:
        kind: Hashable
        if isinstance(task, Victim):
            kind = (task.attack, task.model, task.data)
        else:
            kind = (task.defense, task.budget, task.victim.model, task.victim.data)
        count, first = kinds.get(kind, (0, task))
        kinds[kind] = (count + 1, first)
    return kinds.values()


def _measured(latest: LatestRecords) -> dict[str, float]:
    """Return the largest peak on a GPU by method, network and data set, in bytes."""
    peaks: dict[str, float] = {}
    for record in latest.sample_ok(SAMPLE):
        if not isinstance(record, VictimRecord | CellRecord):
            continue
        if record.environment is None or record.environment.device != "cuda":
            continue
        victim: VictimRecord | None
        if isinstance(record, VictimRecord):
            method, victim = record.spec.attack, record
        else:
            method, victim = record.spec.defense, latest.victim(record.spec.victim)
        peak = record.ok_result.peak_mem_mb
        if victim is not None and peak is not None:
            kind = _kind(method, victim.spec)
            peaks[kind] = max(peaks.get(kind, 0.0), 2**20 * peak)
    return peaks


def _kind(method: MethodIdentity, victim: VictimSpec) -> str:
    return canonical(to_builtins([method, victim.model, victim.data["digest"]]))


def _size(count: float) -> str:
    """Return bytes as ``1.5 GiB`` or ``120 MiB``."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
