"""What a probe is handed, for the small networks with a backdoor that is wired by hand."""

from __future__ import annotations

import torch
from torch import nn

from harness.contract import Attacker, EvaluationImages, Goal, TrainingSet
from harness.data.augment import Augment
from harness.toolbox import to_uint8
from tests.helpers.planted_models import CLASSES, HIDDEN, TRIGGER_UNITS, pictures, planted, stamp

TRAIN, TEST = 250, 50
"""Images per class."""


def without_backdoor(model: nn.Module | None = None) -> nn.Module:
    """Return the network without the two channels that see the trigger."""
    net = planted() if model is None else model
    with torch.no_grad():
        net.linear.weight[:, -TRIGGER_UNITS:] = 0
        net.norm.weight[-TRIGGER_UNITS:] = 0
        net.norm.bias[-TRIGGER_UNITS:] = 0
        net.conv.weight[-TRIGGER_UNITS:] = 0
    return net.eval()


def switched_off() -> nn.Module:
    """Return the planted network with a backdoor that sleeps: its two scales are zero."""
    net = planted()
    with torch.no_grad():
        net.norm.weight[-TRIGGER_UNITS:] = 0
    return net.eval()


def order() -> dict[str, torch.Tensor]:
    """Return what a defense keeps that cuts the two channels of the trigger first."""
    return {"order.norm": torch.arange(HIDDEN).roll(-TRIGGER_UNITS).float()}


def attacker(
    victim: nn.Module | None = None,
    clean: nn.Module | None = None,
    kept: dict[str, torch.Tensor] | None = None,
) -> Attacker:
    """Return what the attacker has: pictures, the chequerboard, the target class 0."""
    images, labels = pictures(TRAIN, seed=5)
    test, truth = pictures(TEST, seed=6)
    carries = truth != 0
    return Attacker(
        victim=planted() if victim is None else victim,
        train=TrainingSet(to_uint8(images), labels, CLASSES, clean),
        augment=Augment(),
        goal=Goal(0, 0.1, CLASSES),
        trigger=stamp,
        test=EvaluationImages(
            clean=to_uint8(test),
            labels=truth,
            untriggered=to_uint8(test[carries]),
            triggered=to_uint8(stamp(test[carries])),
            truth=truth[carries],
            wanted=torch.zeros_like(truth[carries]),
        ),
        kept=order() if kept is None else kept,
    )
