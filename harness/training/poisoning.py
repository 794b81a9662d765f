"""Runs an attack on the training data.

What the attack prepares comes from the store. The result is its poison, or its control of training.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from harness.contract import AttackInfo, Batch, Context, Goal, Poison, TrainingControl, TrainingSet
from harness.data.device_dataset import DeviceDataset
from harness.data.tensors import to_numpy, to_tensors
from harness.plan.keys import digest, seed
from harness.store.record import DrawnSamples, PreparedArtifacts, PreparedRecord, PreparedResult
from harness.store.store import Store
from harness.training.device import reseed

if TYPE_CHECKING:
    from harness.plan.spec import LoadedMethod, Victim


def goal_of(victim: Victim) -> Goal:
    """Return the attacker's goal: target, poison rate and number of classes."""
    return Goal(victim.target, victim.rate, victim.data.classes)


def attack_data(
    victim: Victim, data: DeviceDataset, clean_model: nn.Module | None, ctx: Context, store: Store
) -> Poison | TrainingControl:
    """Run the victim's attack. ``clean_model`` is for attacks that need one."""
    method = victim.attack.load()
    training = TrainingSet(data.train_images, data.train_labels, data.info.classes, clean_model)
    if method.info.prepare is not None:
        training = training._replace(prepared=_prepared(victim, method, training, ctx, store))
    reseed(ctx.generator, seed(victim.key, "poison"))
    poison: Poison | TrainingControl = method.function(training, goal_of(victim), method.hyper, ctx)
    return poison


def _prepared(
    victim: Victim,
    method: LoadedMethod[AttackInfo],
    training: TrainingSet,
    ctx: Context,
    store: Store,
) -> dict[str, torch.Tensor]:
    """Return what the attack prepares: from the store, or else made here and saved there.

    Two workers may make the same one at the same time; each saves it completely.
    """
    key = digest(victim.prepared_spec)
    record = store.newest(key)
    if record is None:
        record = _prepare(victim, method, training, ctx, store)
        store.append(record)
    assert isinstance(record, PreparedRecord)
    return to_tensors(store.get(record.result.artifacts.byproduct), ctx.device)


def _prepare(
    victim: Victim,
    method: LoadedMethod[AttackInfo],
    training: TrainingSet,
    ctx: Context,
    store: Store,
) -> PreparedRecord:
    key = digest(victim.prepared_spec)
    assert method.info.prepare is not None
    start = perf_counter()
    own_ctx = replace(ctx, scalars=[])
    reseed(ctx.generator, seed(key, "prepare"))
    prepared = method.info.prepare(training, goal_of(victim), method.hyper, own_ctx)
    seconds = perf_counter() - start
    artifacts = PreparedArtifacts(byproduct=store.put(to_numpy(prepared)))
    return PreparedRecord.ok(
        key,
        f"{victim.attack.label} on {victim.data.name}",
        victim.prepared_spec,
        PreparedResult(seconds=seconds, artifacts=artifacts),
        own_ctx.scalars[-1:],
    )


class PoisonCounts(NamedTuple):
    """How many training samples an attack changed; None where that is unknown."""

    poisoned: int | None
    """With trigger and the attacker's label, per epoch."""
    covers: int | None
    """With trigger and their true label, per epoch."""
    unclear: int | None = None
    """Poisoned samples of an imported victim that may be either."""
    drawn: DrawnSamples | None = None
    """Exact counts where the attack controlled the training."""


@dataclass
class PoisonCounter:
    """Counts the samples that an attack changes while it controls training."""

    samples: int = 0
    backdoors: int = 0
    covers: int = 0

    def counted(self, control: TrainingControl) -> TrainingControl:
        """Return the same attack, with every batch counted."""

        def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
            poisoned = control.batch(images, labels)
            self.samples += len(labels)
            self.backdoors += poisoned.backdoors
            self.covers += poisoned.covers
            return poisoned

        return replace(control, batch=batch)

    def per_epoch(self, n: int) -> PoisonCounts:
        """Return the samples changed per epoch over ``n`` images, on average, and the totals."""
        epochs = self.samples / n
        return PoisonCounts(
            poisoned=round(self.backdoors / epochs),
            covers=round(self.covers / epochs),
            drawn=DrawnSamples(samples=self.samples, backdoors=self.backdoors, covers=self.covers),
        )
