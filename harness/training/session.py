"""A worker's state between its tasks: the data set, the victim and the models it used last."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from harness.contract import Numerics
from harness.data.device_dataset import DeviceDataset, load_to_device
from harness.evaluation.evaluate import evaluate
from harness.plan.spec import Victim
from harness.store.record import Environment, VictimRecord
from harness.store.store import Store
from harness.toolbox.numerics import WITHOUT_AUTOCAST, numerics
from harness.toolbox.predict import as_float
from harness.training.device import environment
from harness.training.victim import LoadedVictim, load_trigger, load_victim
from harness.training.warm_up import FEW, warm_up

PERIOD = 257
"""Words after which the weights of a checksum repeat; no image has a multiple of it."""


class ChangedInPlaceError(Exception):
    """A method changed the victim or the data set that its worker holds."""


@dataclass
class WorkerSession:
    """The store, the device, and what a worker keeps there: the last data set and last victim."""

    store: Store
    device: torch.device
    apart: bool = True
    """Whether defenses of the user's own get processes of their own."""
    spoiled: bool = False
    """Whether a task left something in the process that can't be put back."""
    environment: Environment = field(init=False)
    """The machine; asked for at the start, as a GPU that has failed does not answer."""
    _data: DeviceDataset | None = None
    _victim: tuple[tuple[str, Numerics], LoadedVictim] | None = None
    _clean: tuple[str, nn.Module] | None = None
    """The clean model that probes used last, by its key."""
    _defended: tuple[str, nn.Module, bool] | None = None
    """The defended model that was probed last, by its cell's key, and whether its defense was
    repeated."""
    _checksum: int = 0
    """The checksum of everything that is held, as it was loaded."""

    def __post_init__(self) -> None:
        """Describe the machine."""
        self.environment = environment(self.device)

    def data(self, victim: Victim) -> DeviceDataset:
        """Return the victim's data set."""
        if self._data is None or self._data.info != victim.data:
            self._data, self._victim = load_to_device(victim.data, self.device), None
            self._checksum = self._sum()
        return self._data

    def victim(
        self,
        victim: Victim,
        record: VictimRecord,
        arithmetic: Numerics = "fp32",
        triggers: Iterable[Victim] = (),
        others: Mapping[str, VictimRecord] | None = None,
    ) -> LoadedVictim:
        """Return a victim; load and verify it unless it is cached.

        ``record`` is the victim's own, ``arithmetic`` that of its evaluation; ``triggers`` are the
        victims whose triggers a clean model is scored with, ``others`` their records by key.
        """
        loaded_as = (victim.key, arithmetic)
        if self._victim is None or self._victim[0] != loaded_as:
            self._victim = None
            self._checksum = self._sum()
            loaded = self.load(victim, record)
            data = self.data(victim)
            warm_up(loaded.model, as_float(data.train_images[:FEW]))
            tests = {
                other.attack.label: load_trigger(other, (others or {})[other.key], data, self.store)
                for other in triggers
            }
            if arithmetic != "fp32":
                with numerics(WITHOUT_AUTOCAST[arithmetic], self.device):
                    loaded = replace(loaded, before=evaluate(loaded.model, loaded.test))
            self._victim = (loaded_as, replace(loaded, other_triggers=tests))
            self._checksum = self._sum()
        return self._victim[1]

    def clean_model(self, clean: Victim, record: VictimRecord) -> nn.Module:
        """Return a copy of a clean model for probes; it is loaded unless it is cached."""
        if self._clean is None or self._clean[0] != clean.key:
            self._clean = (clean.key, self.load(clean, record).model)
        return copy.deepcopy(self._clean[1])

    def defended(
        self, key: str, make: Callable[[], tuple[nn.Module, bool]]
    ) -> tuple[nn.Module, bool]:
        """Return a copy of the defended model of the cell with this key; make it if need be."""
        if self._defended is None or self._defended[0] != key:
            self._defended = (key, *make())
        _, model, repeated = self._defended
        return copy.deepcopy(model), repeated

    def load(self, victim: Victim, record: VictimRecord) -> LoadedVictim:
        """Load a victim and verify it; nothing is cached."""
        return load_victim(victim, record, self.data(victim), self.device, self.store)

    def check(self) -> None:
        """Check that what is held is as it was loaded; else drop it, to be loaded again.

        Raises:
            ChangedInPlaceError: it is not.
        """
        if self._sum() != self._checksum:
            self._data = self._victim = None
            self._checksum = 0
            raise ChangedInPlaceError(
                "the victim, the test images or the training images were changed in place; "
                "a method gets copies of its own"
            )

    def _sum(self) -> int:
        return sum(i * _word_sum(x) for i, x in enumerate(self._held(), start=1)) % 2**64

    def _held(self) -> Iterator[torch.Tensor]:
        """Yield every tensor that is held."""
        if self._data is not None:
            yield from _tensors(self._data)
        if self._victim is not None:
            victim = self._victim[1]
            yield from (*victim.model.parameters(), *victim.model.buffers())
            yield from victim.before[:2]
            yield from _tensors(getattr(victim.trigger, "keywords", {}).get("state", {}).values())
            for test in (victim.test, *victim.other_triggers.values()):
                yield from (test.clean, test.triggered, test.carries_trigger)
                yield from map(torch.from_numpy, test.truth)


def _tensors(values: Iterable[object]) -> Iterator[torch.Tensor]:
    return (x for x in values if isinstance(x, torch.Tensor))


def _word_sum(tensor: torch.Tensor) -> int:
    """Return a checksum of a tensor's bytes that depends on their order."""
    data = tensor.detach().contiguous().flatten().view(torch.uint8)
    whole = len(data) // (8 * PERIOD) * 8 * PERIOD
    weights = torch.arange(1, PERIOD + 1, device=data.device)
    words = data[:whole].view(torch.int64).view(-1, PERIOD).sum(0)
    rest = data[whole:].to(torch.int64)
    places = torch.arange(1, len(rest) + 1, device=data.device)
    return int((words * weights).sum() + (rest * places).sum())
