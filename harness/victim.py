"""Victims: attacked models, trained once, saved, and verified whenever they are loaded."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from harness.contract import Context, Goal, Poison, TrainingSet
from harness.data.resident import Resident
from harness.entries import hyper_of
from harness.evaluate import Evaluation, EvaluationSet, evaluate, evaluation_set
from harness.keys import seed
from harness.network import build
from harness.plan import Victim
from harness.predict import Stamp
from harness.registry import load
from harness.runtime import reseed, uses_bf16
from harness.store import Record, Store
from harness.train import fit

SAMPLES = 8
"""Test images that are kept with and without the trigger, one per class, for pictures."""
ROUNDING = 1e-3
"""Two logits closer than this may change places between machines."""


class VictimRefusedError(Exception):
    """A loaded victim does not give the predictions of its own record."""


@dataclass(frozen=True)
class Attacked:
    """A victim at hand: its model, its trigger, and how it does on the test set."""

    model: nn.Module
    stamp: Stamp
    test: EvaluationSet
    before: Evaluation

    def private_copy(self) -> nn.Module:
        """Return a copy of the model that may be changed at will."""
        return copy.deepcopy(self.model)


def goal_of(victim: Victim) -> Goal:
    """Return what the attacker wants."""
    return Goal(victim.target, victim.rate, victim.data.classes)


def train_victim(victim: Victim, data: Resident, ctx: Context, store: Store) -> dict[str, Any]:
    """Poison the training set, train the model, save everything, and return the record's result."""
    method = load("attack", victim.attack.ref)
    hyper = hyper_of(victim.attack, method.hyper)
    training = TrainingSet(data.train_images, data.train_labels, data.info.classes)
    reseed(ctx.generator, seed(victim.key, "poison"))
    poison: Poison = method.function(training, goal_of(victim), hyper, ctx)
    reseed(ctx.generator, seed(victim.key, "train"))
    model = build(victim.model, victim.data).to(ctx.device)
    fit(model, _poisoned(training, poison), victim.recipe, data.augment, ctx)
    attacked = _attacked(victim, model, poison.state, data)
    return {
        **attacked.before.scores._asdict(),
        "poisoned": len(poison.indices),
        "precision": "bf16" if uses_bf16(victim.recipe, ctx.device) else "fp32",
        "artifacts": _saved(attacked, poison, store) | {"samples": store.put(_samples(attacked, victim))},
    }


def _poisoned(training: TrainingSet, poison: Poison) -> tuple[torch.Tensor, torch.Tensor]:
    images, labels = training.images.clone(), training.labels.clone()
    images[poison.indices] = poison.images
    labels[poison.indices] = poison.labels
    return images, labels


def _attacked(victim: Victim, model: nn.Module, state: dict[str, torch.Tensor], data: Resident) -> Attacked:
    trigger: Callable[..., torch.Tensor] | None = load("attack", victim.attack.ref).about.trigger
    assert trigger is not None
    stamp = partial(trigger, state=state)
    test = evaluation_set(data, goal_of(victim), stamp)
    return Attacked(model, stamp, test, evaluate(model, test))


def _saved(attacked: Attacked, poison: Poison, store: Store) -> dict[str, str]:
    return {
        "model": store.put(_arrays(attacked.model.state_dict())),
        "trigger": store.put(_arrays(poison.state)),
        "poison": store.put(_arrays({"indices": poison.indices}), compress=True),
        "predictions": store.put({**attacked.before.predictions(), **_truth(attacked.test)}, compress=True),
    }


def _truth(test: EvaluationSet) -> dict[str, Any]:
    """Return the labels that every prediction on this victim's test images is held against."""
    return {f"truth_{name}": labels.astype(np.uint16) for name, labels in test.truth._asdict().items()}


def _samples(attacked: Attacked, victim: Victim) -> dict[str, Any]:
    """Return a few test images, clean and triggered (uint8, (n, C, H, W)), of different true classes."""
    clean, truth = attacked.test.clean, torch.from_numpy(attacked.test.truth.clean)
    stamped = torch.nonzero(goal_of(victim).labels(truth) != truth)[:, 0]
    places = torch.from_numpy(np.unique(attacked.test.truth.triggered, return_index=True)[1][:SAMPLES])
    pair = {"clean": clean[stamped[places]], "triggered": attacked.test.triggered[places]}
    return {**_arrays(pair), "truth": attacked.test.truth.triggered[places]}


def _arrays(tensors: dict[str, torch.Tensor]) -> dict[str, Any]:
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}


def load_victim(
    victim: Victim, record: Record, data: Resident, device: torch.device, store: Store
) -> Attacked:
    """Load a victim by its record and hold its predictions against those that the record keeps.

    Raises:
        VictimRefusedError: another prediction than the saved one, by more than rounding.
        UserError: an artifact is missing or damaged.
    """
    artifacts = record["result"]["artifacts"]
    model = build(victim.model, victim.data)
    model.load_state_dict({name: torch.from_numpy(x) for name, x in store.get(artifacts["model"]).items()})
    model.eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    state = {name: torch.from_numpy(x).to(device) for name, x in store.get(artifacts["trigger"]).items()}
    attacked = _attacked(victim, model, state, data)
    _verify(attacked, store.get(artifacts["predictions"]))
    return attacked


def _verify(attacked: Attacked, saved: dict[str, Any]) -> None:
    for split, out in (("clean", attacked.before.clean), ("triggered", attacked.before.triggered)):
        expected = torch.from_numpy(saved[split].astype("int64"))
        changed = out.argmax(1) != expected
        if len(expected) != len(out) or _margin(out, expected)[changed].gt(ROUNDING).any():
            raise VictimRefusedError(
                f"the loaded victim predicts {int(changed.sum())} of {len(out)} {split} images "
                "otherwise than its record says: its weights, normalisation, trigger or data are not what "
                "they were"
            )


def _margin(out: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return out.max(1).values - out.gather(1, expected[:, None])[:, 0]
