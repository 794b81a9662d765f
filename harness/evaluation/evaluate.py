"""Evaluation of a model on the clean and on the triggered test set, the same for every model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from harness.contract import Goal
from harness.data.device_dataset import DeviceDataset
from harness.evaluation.metrics import Scores, TrueLabels, auroc, scores
from harness.toolbox.predict import TriggerFunction, predict_logits, apply_trigger


class BrokenModelError(Exception):
    """A model whose outputs are no logits: wrong shape, NaN or infinity."""


class EvaluationSet(NamedTuple):
    """Clean and triggered test images (uint8, on the device) and their labels."""

    clean: torch.Tensor
    triggered: torch.Tensor
    truth: TrueLabels
    classes: int
    chosen: torch.Tensor
    """bool (N,): which test images are triggered; the others are of the class that the trigger
    leads to."""


class Evaluation(NamedTuple):
    """Float32 logits on the CPU, and the scores they come to."""

    clean: torch.Tensor
    triggered: torch.Tensor
    scores: Scores

    def predictions(self) -> dict[str, np.ndarray]:
        """Return the predicted classes, to be kept."""
        return {
            "clean": self.clean.argmax(1).numpy().astype(np.uint16),
            "triggered": self.triggered.argmax(1).numpy().astype(np.uint16),
        }


def evaluation_set(data: DeviceDataset, goal: Goal, stamp: TriggerFunction) -> EvaluationSet:
    """Stamp every test image whose label the attacker wants changed; the others are in neither ASR nor RA."""
    indices = (goal.labels(data.test_labels) != data.test_labels).nonzero()[:, 0]
    return given_set(data, goal, indices, apply_trigger(data.test_images[indices], stamp))


def given_set(
    data: DeviceDataset, goal: Goal, indices: torch.Tensor, triggered: torch.Tensor
) -> EvaluationSet:
    """Take triggered copies, uint8 (n, C, H, W), of the test images at ``indices``, int64 (n,), ascending."""
    labels = data.test_labels[indices]
    truth = TrueLabels(
        clean=data.test_labels.cpu().numpy(),
        triggered=labels.cpu().numpy(),
        wanted=goal.labels(labels).cpu().numpy(),
    )
    chosen = torch.zeros_like(data.test_labels, dtype=torch.bool)
    chosen[indices] = True
    return EvaluationSet(data.test_images, triggered, truth, data.info.classes, chosen)


def trigger_scores(
    model: nn.Module, tests: Mapping[str, EvaluationSet]
) -> dict[str, dict[str, float]]:
    """Return the ASR and RA of a model under each of several triggers, by name."""
    found = {}
    for name, test in tests.items():
        predicted = predict_logits(model, test.triggered).argmax(1).numpy()
        asr, ra = (
            np.mean(predicted == test.truth.wanted),
            np.mean(predicted == test.truth.triggered),
        )
        found[name] = {"asr": float(asr), "ra": float(ra)}
    return found


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
    found = scores(clean.argmax(1).numpy(), triggered.argmax(1).numpy(), test.truth)
    return Evaluation(clean, triggered, found)


def detection(one: Evaluation, other: Evaluation) -> float:
    """Return the AUROC of two networks' disagreement as a detector of triggered among clean test images.

    The disagreement on an image is 1 - <p, q>, of both networks' class probabilities.
    """
    clean, triggered = (
        1 - (a.softmax(1) * b.softmax(1)).sum(1)
        for a, b in ((one.clean, other.clean), (one.triggered, other.triggered))
    )
    return auroc(clean.double().numpy(), triggered.double().numpy())
