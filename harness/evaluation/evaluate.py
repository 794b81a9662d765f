"""Evaluates a model on the clean and on the triggered test set, in the same way for every model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from harness.contract import Goal
from harness.data.device_dataset import DeviceDataset
from harness.evaluation.metrics import Scores, TrueLabels, auroc, scores, trigger_rates
from harness.toolbox.predict import TriggerFunction, apply_trigger, predict_logits


class BrokenModelError(Exception):
    """A model whose outputs are no logits: wrong shape, NaN or infinity."""


class EvaluationSet(NamedTuple):
    """Clean and triggered test images (uint8, on the device) and their labels."""

    clean: torch.Tensor
    """(N, C, H, W): all test images."""
    triggered: torch.Tensor
    """(n, C, H, W): those that carry the trigger, in the order of the test set."""
    truth: TrueLabels
    classes: int
    carries_trigger: torch.Tensor
    """bool (N,): True for test images that get the trigger; those whose label is already the one
    that the attacker wants get none."""


class Evaluation(NamedTuple):
    """Float32 logits on the CPU, (N, classes) and (n, classes), and their scores."""

    clean: torch.Tensor
    triggered: torch.Tensor
    scores: Scores

    def predictions(self) -> dict[str, np.ndarray]:
        """Return the predicted classes as the store keeps them, uint16."""
        return {
            "clean": self.clean.argmax(1).numpy().astype(np.uint16),
            "triggered": self.triggered.argmax(1).numpy().astype(np.uint16),
        }


def evaluation_set(data: DeviceDataset, goal: Goal, trigger: TriggerFunction) -> EvaluationSet:
    """Put the trigger on every test image whose label the attacker wants changed.

    The other images count in neither ASR nor RA.
    """
    indices = (goal.labels(data.test_labels) != data.test_labels).nonzero()[:, 0]
    triggered = apply_trigger(data.test_images[indices], trigger)
    return evaluation_set_from_images(data, goal, indices, triggered)


def evaluation_set_from_images(
    data: DeviceDataset, goal: Goal, indices: torch.Tensor, triggered: torch.Tensor
) -> EvaluationSet:
    """Return the evaluation set of images that already carry the trigger.

    Args:
        data: the data set, whose test images are the clean ones.
        goal: the label that the attacker wants for each.
        indices: int64 (n,), ascending: which test images the triggered ones are copies of.
        triggered: uint8 (n, C, H, W).
    """
    labels = data.test_labels[indices]
    truth = TrueLabels(
        clean=data.test_labels.cpu().numpy(),
        triggered=labels.cpu().numpy(),
        wanted=goal.labels(labels).cpu().numpy(),
    )
    carries_trigger = torch.zeros_like(data.test_labels, dtype=torch.bool)
    carries_trigger[indices] = True
    return EvaluationSet(data.test_images, triggered, truth, data.info.classes, carries_trigger)


def trigger_scores(
    model: nn.Module, tests: Mapping[str, EvaluationSet]
) -> dict[str, dict[str, float]]:
    """Return the ASR and RA of a model under each of several triggers, by name."""
    by_trigger = {}
    for name, test in tests.items():
        predicted = predict_logits(model, test.triggered).argmax(1).numpy()
        by_trigger[name] = trigger_rates(predicted, test.truth)
    return by_trigger


def evaluate(model: nn.Module, test: EvaluationSet) -> Evaluation:
    """Score a model in eval mode, in float32.

    Raises:
        BrokenModelError: its outputs are not finite logits of the right shape.
    """
    model.eval()
    clean, triggered = predict_logits(model, test.clean), predict_logits(model, test.triggered)
    for out in (clean, triggered):
        if out.ndim != 2 or out.shape[1] != test.classes:
            raise BrokenModelError(
                f"logits of shape (N, {test.classes}) are needed, got {tuple(out.shape)}"
            )
        if not out.isfinite().all():
            raise BrokenModelError("the model gives NaN or infinity on test images")
    result = scores(clean.argmax(1).numpy(), triggered.argmax(1).numpy(), test.truth)
    return Evaluation(clean, triggered, result)


def disagreement_auroc(one: Evaluation, other: Evaluation) -> float:
    """Return the AUROC of two networks' disagreement as a detector of triggered test images.

    The disagreement on an image is 1 - <p, q>, for the class probabilities p and q of the networks.
    """
    clean, triggered = (
        1 - (a.softmax(1) * b.softmax(1)).sum(1)
        for a, b in ((one.clean, other.clean), (one.triggered, other.triggered))
    )
    return auroc(clean.double().numpy(), triggered.double().numpy())
