"""Victims: attacked models, trained once, saved, and verified whenever they are loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.contract import Context, Poison
from harness.data.device_dataset import DeviceDataset
from harness.data.tensors import to_numpy, to_tensors
from harness.evaluation.evaluate import (
    Evaluation,
    EvaluationSet,
    evaluate,
    evaluation_set,
    evaluation_set_from_images,
)
from harness.evaluation.stealth import trigger_visibility
from harness.plan.keys import seed
from harness.plan.registry import load
from harness.plan.spec import Victim
from harness.store.record_files import Record
from harness.store.store import Store
from harness.toolbox.fit import fit, uses_bf16
from harness.toolbox.predict import TriggerFunction
from harness.training.device import reseed
from harness.training.network import prepare_for_eval, build
from harness.training.poisoning import PoisonCounter, attack_data, goal_of

SAVED_IMAGES = 8
"""Test images that are kept with and without the trigger, one per class, for pictures."""
LOGIT_TOLERANCE = 1e-3
"""Two logits closer than this may change places between machines."""


class VictimRefusedError(Exception):
    """A loaded victim does not give the predictions of its own record."""


@dataclass(frozen=True)
class LoadedVictim:
    """A victim at hand: its model, its trigger, and how it does on the test set."""

    model: nn.Module
    stamp: TriggerFunction
    test: EvaluationSet
    before: Evaluation
    others: dict[str, EvaluationSet] = field(default_factory=dict)
    """Of a clean model: the test set under each trigger that it is scored with, by the attack's
    label."""

    def private_copy(self) -> nn.Module:
        """Return a copy of the model that may be changed at will."""
        return copy.deepcopy(self.model)


def train_victim(
    victim: Victim, data: DeviceDataset, ctx: Context, store: Store, clean: nn.Module | None = None
) -> dict[str, Any]:
    """Attack the training set, train the model, save everything, and return the record's result.

    ``clean`` is the clean model of an attack that needs one.
    """
    attack = attack_data(victim, data, clean, ctx, store)
    reseed(ctx.generator, seed(victim.key, "train"))
    model = build(victim.model, victim.data).to(ctx.device)
    if isinstance(attack, Poison):
        samples = _poisoned(data, attack)
        fit(model, samples, victim.recipe, data.augment, ctx)
        backdoors = len(attack.indices) - attack.covers
        poison = {"indices": attack.indices[:backdoors], "covers": attack.indices[backdoors:]}
        counts = {"poisoned": backdoors, "covers": attack.covers, "drawn": None}
    else:
        tally = PoisonCounter()
        samples = (data.train_images, data.train_labels)
        fit(model, samples, victim.recipe, data.augment, ctx, tally.counted(attack))
        poison = {}
        counts = tally.per_epoch(len(data.train_labels))
    test = evaluation_set(data, goal_of(victim), trigger_of(victim, attack.state))
    attacked = LoadedVictim(model, trigger_of(victim, attack.state), test, evaluate(model, test))
    precision = "bf16" if uses_bf16(victim.recipe, ctx.device) else "fp32"
    return {**counts, "precision": precision, **save_victim(attacked, attack.state, poison, store)}


def _poisoned(data: DeviceDataset, poison: Poison) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = data.train_images.clone(), data.train_labels.clone()
    images[poison.indices] = poison.images
    labels[poison.indices] = poison.labels
    return images, labels


def trigger_of(victim: Victim, state: dict[str, torch.Tensor]) -> TriggerFunction:
    """Return a victim's trigger with its state."""
    trigger: Callable[..., torch.Tensor] | None = load("attack", victim.attack.ref).about.trigger
    assert trigger is not None
    return partial(trigger, state=state)


def save_victim(
    attacked: LoadedVictim,
    state: dict[str, torch.Tensor],
    poison: dict[str, torch.Tensor],
    store: Store,
) -> dict[str, Any]:
    """Save a victim; return its scores, how visible its trigger is, and the names of its artifacts."""
    test = attacked.test
    saved = {
        "model": store.put(to_numpy(attacked.model.state_dict())),
        "trigger": store.put(to_numpy(state)),
        "predictions": store.put({**attacked.before.predictions(), **_truth(test)}, compress=True),
        "samples": store.put(_samples(attacked)),
    }
    if poison:
        saved["poison"] = store.put(to_numpy(poison), compress=True)
    visible = trigger_visibility(test.clean[test.carries_trigger], test.triggered)
    return {**attacked.before.scores._asdict(), **visible._asdict(), "artifacts": saved}


def _truth(test: EvaluationSet) -> dict[str, Any]:
    """Return the labels that every prediction on this victim's test images is held against."""
    return {
        f"truth_{name}": labels.astype(np.uint16) for name, labels in test.truth._asdict().items()
    }


def _samples(attacked: LoadedVictim) -> dict[str, Any]:
    """Return a few test images, clean and triggered (uint8, (n, C, H, W)), of different true classes."""
    test = attacked.test
    places = torch.from_numpy(np.unique(test.truth.triggered, return_index=True)[1][:SAVED_IMAGES])
    pair = {"clean": test.clean[test.carries_trigger][places], "triggered": test.triggered[places]}
    return {**to_numpy(pair), "truth": test.truth.triggered[places]}


def load_victim(
    victim: Victim, record: Record, data: DeviceDataset, device: torch.device, store: Store
) -> LoadedVictim:
    """Load a victim by its record and hold its predictions against those that the record keeps.

    Raises:
        VictimRefusedError: another prediction than the saved one, by more than rounding.
        UserError: an artifact is missing or damaged.
    """
    artifacts = record["result"]["artifacts"]
    model = build(victim.model, victim.data)
    model.load_state_dict(to_tensors(store.get(artifacts["model"])))
    net = prepare_for_eval(model, device)
    test = load_trigger(victim, record, data, store)
    stamp = trigger_of(victim, _state(record, device, store))
    attacked = LoadedVictim(net, stamp, test, evaluate(net, test))
    verify(attacked, store.get(artifacts["predictions"]))
    return attacked


def load_trigger(
    victim: Victim, record: Record, data: DeviceDataset, store: Store
) -> EvaluationSet:
    """Return the test set with a victim's trigger, as it is made or, of a foreign victim, as it was kept.

    Raises:
        UserError: the trigger's artifact is missing or damaged.
    """
    artifacts, device = record["result"]["artifacts"], data.test_images.device
    if "triggered" in artifacts:
        saved = to_tensors(store.get(artifacts["triggered"]), device)
        return evaluation_set_from_images(data, goal_of(victim), saved["indices"], saved["images"])
    state = _state(record, device, store)
    return evaluation_set(data, goal_of(victim), trigger_of(victim, state))


def _state(record: Record, device: torch.device, store: Store) -> dict[str, torch.Tensor]:
    return to_tensors(store.get(record["result"]["artifacts"]["trigger"]), device)


def verify(attacked: LoadedVictim, saved: dict[str, Any]) -> None:
    """Hold a loaded model's predictions against saved ones.

    Raises:
        VictimRefusedError: another prediction than the saved one, by more than rounding.
    """
    for split, out in (("clean", attacked.before.clean), ("triggered", attacked.before.triggered)):
        expected = torch.from_numpy(saved[split].astype("int64"))
        changed = out.argmax(1) != expected
        if len(expected) != len(out) or _margin(out, expected)[changed].gt(LOGIT_TOLERANCE).any():
            raise VictimRefusedError(
                f"the loaded victim predicts {int(changed.sum())} of {len(out)} {split} images "
                "otherwise than its record says: its weights, normalisation, trigger or data have changed"
            )


def _margin(out: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return out.max(1).values - out.gather(1, expected[:, None])[:, 0]
