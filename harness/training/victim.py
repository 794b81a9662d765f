"""Victims: attacked models, trained once, saved, and verified whenever they are loaded."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

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
from harness.store.record import (
    CrossTest,
    ReportedScores,
    Source,
    VictimArtifacts,
    VictimRecord,
    VictimResult,
)
from harness.store.store import Store
from harness.toolbox.fit import fit
from harness.toolbox.numerics import training_numerics
from harness.toolbox.predict import TriggerFunction
from harness.training.device import reseed
from harness.training.network import build, prepare_for_eval
from harness.training.poisoning import PoisonCounter, PoisonCounts, attack_data, goal_of

if TYPE_CHECKING:
    from harness.plan.spec import Victim

SAVED_IMAGES = 8
"""Test images that are saved with and without the trigger, one per class, for figures."""
LOGIT_TOLERANCE = 1e-3
"""Predictions may differ between machines where the top two logits are at most this close."""
MOST_DIFFERING = 1e-3
"""The largest share of images whose predictions may differ by more: what machines round differently
before a trigger is rounded to 8 bits can change a pixel by a grey level."""


class VictimRefusedError(Exception):
    """A loaded victim does not give the predictions of its own record."""


@dataclass(frozen=True)
class LoadedVictim:
    """A victim in memory: its model, its trigger, and its evaluation on the test set."""

    model: nn.Module
    trigger: TriggerFunction
    test: EvaluationSet
    before: Evaluation
    other_triggers: dict[str, EvaluationSet] = field(default_factory=dict)
    """The test set under each trigger that a clean model is scored with, by the attack's label;
    empty for other victims."""

    def private_copy(self) -> nn.Module:
        """Return a copy of the model that may be changed at will."""
        return copy.deepcopy(self.model)


def train_victim(
    victim: Victim,
    data: DeviceDataset,
    ctx: Context,
    store: Store,
    clean_model: nn.Module | None = None,
) -> VictimResult:
    """Attack the training set, train the model, save everything, and return the record's result.

    ``clean_model`` is for attacks that need one.
    """
    attack = attack_data(victim, data, clean_model, ctx, store)
    reseed(ctx.generator, seed(victim.key, "train"))
    model = build(victim.model, victim.data).to(ctx.device)
    if isinstance(attack, Poison):
        samples = _poisoned_samples(data, attack)
        fit(model, samples, victim.recipe, data.augment, ctx)
        backdoors = len(attack.indices) - attack.covers
        poison = {"indices": attack.indices[:backdoors], "covers": attack.indices[backdoors:]}
        counts = PoisonCounts(backdoors, attack.covers)
    else:
        counter = PoisonCounter()
        samples = (data.train_images, data.train_labels)
        fit(model, samples, victim.recipe, data.augment, ctx, counter.counted(attack))
        poison = {}
        counts = counter.per_epoch(len(data.train_labels))
    trigger = trigger_of(victim, attack.state)
    test = evaluation_set(data, goal_of(victim), trigger)
    loaded = LoadedVictim(model, trigger, test, evaluate(model, test))
    precision = training_numerics(victim.recipe, ctx.device)
    artifacts = save_victim(loaded, attack.state, poison, store)
    return victim_result(loaded, counts, VictimOrigin(precision), artifacts)


def _poisoned_samples(data: DeviceDataset, poison: Poison) -> tuple[torch.Tensor, torch.Tensor]:
    """Return copies of the training images and labels, the poisoned ones replaced."""
    images, labels = data.train_images.clone(), data.train_labels.clone()
    images[poison.indices] = poison.images
    labels[poison.indices] = poison.labels
    return images, labels


def trigger_of(victim: Victim, state: dict[str, torch.Tensor]) -> TriggerFunction:
    """Return a victim's trigger, bound to its state."""
    return partial(victim.attack.load().info.trigger, state=state)


def save_victim(
    victim: LoadedVictim,
    state: dict[str, torch.Tensor],
    poison: dict[str, torch.Tensor],
    store: Store,
    triggered: str | None = None,
) -> VictimArtifacts:
    """Save a victim and return the names of its artifacts.

    Args:
        victim: in memory and evaluated.
        state: the state of its trigger.
        poison: the positions of its poisoned and cover samples, int64 (n,) each; empty where the
            attack controls training.
        store: where the artifacts go.
        triggered: the name of its triggered test images, saved already, where no trigger function
            can make them.
    """
    test = victim.test
    return VictimArtifacts(
        model=store.put(to_numpy(victim.model.state_dict())),
        trigger=store.put(to_numpy(state)),
        predictions=store.put({**victim.before.predictions(), **_truth(test)}, compress=True),
        samples=store.put(_samples(victim)),
        poison=store.put(to_numpy(poison), compress=True) if poison else None,
        triggered=triggered,
    )


class VictimOrigin(NamedTuple):
    """How a victim was trained, or what is known of an imported one."""

    precision: str | None = None
    """Arithmetic of the training: ``fp32``, ``tf32`` or ``bf16``."""
    source: Source | None = None
    reported: ReportedScores | None = None
    cross: CrossTest | None = None


def victim_result(
    victim: LoadedVictim, counts: PoisonCounts, origin: VictimOrigin, artifacts: VictimArtifacts
) -> VictimResult:
    """Return what the record says of an evaluated victim."""
    test, scores = victim.test, victim.before.scores
    visibility = trigger_visibility(test.clean[test.carries_trigger], test.triggered)
    return VictimResult(
        poisoned=counts.poisoned,
        covers=counts.covers,
        unclear=counts.unclear,
        drawn=counts.drawn,
        precision=origin.precision,
        source=origin.source,
        reported=origin.reported,
        cross=origin.cross,
        acc=scores.acc,
        asr=scores.asr,
        ra=scores.ra,
        psnr=visibility.psnr,
        ssim=visibility.ssim,
        linf=visibility.linf,
        artifacts=artifacts,
    )


def _truth(test: EvaluationSet) -> dict[str, Any]:
    """Return the labels that predictions on this victim's test images are compared with."""
    return {
        f"truth_{name}": labels.astype(np.uint16) for name, labels in test.truth._asdict().items()
    }


def _samples(victim: LoadedVictim) -> dict[str, Any]:
    """Return a few test images, one per true class, clean and triggered: uint8 (n, C, H, W)."""
    test = victim.test
    first_of_class = np.unique(test.truth.triggered, return_index=True)[1][:SAVED_IMAGES]
    indices = torch.from_numpy(first_of_class)
    pair = {
        "clean": test.clean[test.carries_trigger][indices],
        "triggered": test.triggered[indices],
    }
    return {**to_numpy(pair), "truth": test.truth.triggered[indices]}


def load_victim(
    victim: Victim, record: VictimRecord, data: DeviceDataset, device: torch.device, store: Store
) -> LoadedVictim:
    """Load a victim by its record and compare its predictions with those in the store.

    Raises:
        VictimRefusedError: a prediction differs from the saved one by more than rounding.
        UserError: an artifact is missing or damaged.
    """
    artifacts = record.ok_result.artifacts
    model = build(victim.model, victim.data)
    model.load_state_dict(to_tensors(store.get(artifacts.model)))
    net = prepare_for_eval(model, device)
    test = load_trigger(victim, record, data, store)
    trigger = trigger_of(victim, _state(record, device, store))
    loaded = LoadedVictim(net, trigger, test, evaluate(net, test))
    verify(loaded, store.get(artifacts.predictions))
    return loaded


def load_trigger(
    victim: Victim, record: VictimRecord, data: DeviceDataset, store: Store
) -> EvaluationSet:
    """Return the test set under a victim's trigger.

    The trigger generates it; for an imported victim without a trigger function it is read from the
    store.

    Raises:
        UserError: the trigger's artifact is missing or damaged.
    """
    name, device = record.ok_result.artifacts.triggered, data.test_images.device
    if name is not None:
        saved = to_tensors(store.get(name), device)
        return evaluation_set_from_images(data, goal_of(victim), saved["indices"], saved["images"])
    state = _state(record, device, store)
    return evaluation_set(data, goal_of(victim), trigger_of(victim, state))


def _state(record: VictimRecord, device: torch.device, store: Store) -> dict[str, torch.Tensor]:
    return to_tensors(store.get(record.ok_result.artifacts.trigger), device)


def verify(loaded: LoadedVictim, saved: dict[str, Any]) -> None:
    """Compare a loaded victim's predictions with saved ones.

    Raises:
        VictimRefusedError: a prediction differs from the saved one by more than rounding.
    """
    for split, out in (("clean", loaded.before.clean), ("triggered", loaded.before.triggered)):
        expected = torch.from_numpy(saved[split].astype("int64"))
        changed = out.argmax(1) != expected
        most = MOST_DIFFERING * len(out)
        if len(expected) != len(out) or differing_predictions(out, saved[split]) > most:
            raise VictimRefusedError(
                f"the loaded victim predicts {int(changed.sum())} of {len(out)} {split} images "
                "otherwise than its record says: its weights, normalisation, trigger or data "
                "have changed"
            )


def differing_predictions(out: torch.Tensor, saved: Any) -> int:
    """Count the logits (n, classes) whose class is not the saved one, by more than rounding."""
    expected = torch.from_numpy(saved.astype("int64"))
    changed = out.argmax(1) != expected
    return int(_margin(out, expected)[changed].gt(LOGIT_TOLERANCE).sum())


def _margin(out: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Return how far the logit of the expected class is below the largest one, (n,)."""
    return out.max(1).values - out.gather(1, expected[:, None])[:, 0]
