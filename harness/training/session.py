"""A worker's state between its tasks: the data set and the victim that it used last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from harness.data.device_dataset import DeviceDataset, load_to_device
from harness.plan.spec import Cell, Victim
from harness.store.record import VictimRecord
from harness.store.store import Store
from harness.training.victim import LoadedVictim, load_trigger, load_victim


@dataclass
class WorkerSession:
    """The store, the device, and what a worker keeps there: the last data set and last victim."""

    store: Store
    device: torch.device
    _data: DeviceDataset | None = None
    _victim: tuple[str, LoadedVictim] | None = None

    def data(self, victim: Victim) -> DeviceDataset:
        """Return the victim's data set."""
        if self._data is None or self._data.info != victim.data:
            self._data = load_to_device(victim.data, self.device)
        return self._data

    def victim(
        self, cell: Cell, record: VictimRecord, others: Mapping[str, VictimRecord]
    ) -> LoadedVictim:
        """Return the cell's victim; load and verify it unless it is cached.

        ``record`` is the victim's own, ``others`` those of the victims whose triggers the cell's
        models are scored with, by key.
        """
        if self._victim is None or self._victim[0] != cell.victim.key:
            self._victim = None
            loaded = self.load(cell.victim, record)
            data = self.data(cell.victim)
            triggers = {
                other.attack.label: load_trigger(other, others[other.key], data, self.store)
                for other in cell.triggers
            }
            self._victim = (cell.victim.key, replace(loaded, other_triggers=triggers))
        return self._victim[1]

    def load(self, victim: Victim, record: VictimRecord) -> LoadedVictim:
        """Load a victim and verify it; nothing is cached."""
        return load_victim(victim, record, self.data(victim), self.device, self.store)
