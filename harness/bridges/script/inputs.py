"""The inputs of an external script: the whole cell, because such scripts also evaluate."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from harness.data.device_dataset import DeviceDataset
from harness.plan.spec import Cell
from harness.store.store import Store

if TYPE_CHECKING:
    from harness.training.victim import LoadedVictim


class ScriptInputs(NamedTuple):
    """One cell, with everything that its export needs."""

    cell: Cell
    victim: LoadedVictim
    data: DeviceDataset
    budget_indices: torch.Tensor
    """int64 (n,): indices of the clean budget in the training set."""
    store: Store
