"""What a defense of another toolbox is handed: everything, for its scripts test as they go."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from harness.data.device_dataset import DeviceDataset
from harness.plan.spec import Cell
from harness.store.store import Store

if TYPE_CHECKING:
    from harness.training.victim import LoadedVictim


class ScriptInputs(NamedTuple):
    """One cell, with all that its export needs."""

    cell: Cell
    victim: LoadedVictim
    data: DeviceDataset
    chosen: torch.Tensor
    """int64 (n,): the places of the clean budget in the training set."""
    store: Store
