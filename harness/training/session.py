"""What a worker keeps on its device between tasks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from harness.data.device_dataset import DeviceDataset, load_resident
from harness.plan.spec import Cell, Victim
from harness.store.record_files import Record
from harness.store.store import Store
from harness.training.victim import LoadedVictim, load_trigger, load_victim


@dataclass
class WorkerSession:
    """What a worker keeps on its device between tasks: the last data set and the last victim."""

    store: Store
    device: torch.device
    _data: DeviceDataset | None = None
    _victim: tuple[str, LoadedVictim] | None = None

    def data(self, victim: Victim) -> DeviceDataset:
        """Return the victim's data set."""
        if self._data is None or self._data.info != victim.data:
            self._data = load_resident(victim.data, self.device)
        return self._data

    def victim(self, cell: Cell, record: Record, others: Mapping[str, Record]) -> LoadedVictim:
        """Return a cell's victim at hand, loaded and verified when it was not the last one."""
        if self._victim is None or self._victim[0] != cell.victim.key:
            self._victim = None
            loaded = self.loaded(cell.victim, record)
            data = self.data(cell.victim)
            triggers = {
                other.attack.label: load_trigger(other, others[other.key], data, self.store)
                for other in cell.triggers
            }
            self._victim = (cell.victim.key, replace(loaded, others=triggers))
        return self._victim[1]

    def loaded(self, victim: Victim, record: Record) -> LoadedVictim:
        """Load a victim and verify it."""
        return load_victim(victim, record, self.data(victim), self.device, self.store)
