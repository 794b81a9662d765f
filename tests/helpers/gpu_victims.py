"""Victims and cells on the pretended GPU, through the functions that a run calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch

from harness.contract import Context
from harness.data.device_dataset import DeviceDataset
from harness.execution.cell import run_cell
from harness.plan.budget import BudgetSpec
from harness.plan.entries import resolve_method
from harness.plan.spec import Cell, Victim
from harness.store.record import CellResult
from harness.store.store import Store
from harness.training.network import build, prepare_for_eval
from harness.training.victim import LoadedVictim, load_victim, train_victim
from tests.helpers import records
from tests.helpers.pretended_gpu import CUDA
from tests.helpers.shortest import shortest
from tests.helpers.tiny_victims import resident, victim

TENSORS = ("train_images", "train_labels", "test_images", "test_labels")


class Loaded(NamedTuple):
    """A victim on the GPU."""

    spec: Victim
    data: DeviceDataset
    victim: LoadedVictim


class Victims:
    """Trains victims and runs cells on them; to be used while a pretended GPU is entered."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(folder)
        self._loaded: dict[str, Loaded] = {}

    def train(self, attack: str, model: str, n: int = 64) -> Loaded:
        """Train a victim of an attack on n images, save it, and load and verify it."""
        side = 16 if model == "preactresnet18" else 32
        data = on_gpu(resident(n=n, shape=(3, side, side), test=32))
        spec = victim(data, attack, model=model, **shortest("attack", attack))
        clean = None if spec.clean is None else build(spec.model, spec.data)
        clean = None if clean is None else prepare_for_eval(clean, CUDA)
        result = train_victim(spec, data, context(), self.store, clean)
        record = records.ok(spec, result)
        return Loaded(spec, data, load_victim(spec, record, data, CUDA, self.store))

    def load(self, model: str) -> Loaded:
        """Return the BadNets victim of an architecture, the same one for all its defenses."""
        if model not in self._loaded:
            self._loaded[model] = self.train("badnets", model)
        return self._loaded[model]

    def repair(self, defense: str, model: str, **hyper: Any) -> CellResult:
        """Run a cell at SPC 2 on a BadNets victim; ``hyper`` replaces settings of the defense."""
        spec, data, loaded = self.load(model)
        entry = {defense: {**shortest("defense", defense), **hyper}}
        method = resolve_method("defense", entry, Path.cwd())
        cell = Cell(spec, method, method.info.needs, BudgetSpec(spc=2), keep=True)
        return run_cell(cell, loaded, data, context(), self.store)


def on_gpu(data: DeviceDataset) -> DeviceDataset:
    """Return a data set with its tensors on the GPU."""
    return data._replace(**{name: getattr(data, name).to(CUDA) for name in TENSORS})


def context() -> Context:
    """Return a context on the GPU."""
    return Context(CUDA, torch.Generator().manual_seed(0))
