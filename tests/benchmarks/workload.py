"""What the tasks share: random images of CIFAR-10's shape, and a PreActResNet18.

On a CPU it has width 16 and sees a few images; on a GPU width 64 and a whole epoch.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from harness.contract import Context, Goal, TrainingSet
from harness.evaluation.evaluate import EvaluationSet
from harness.evaluation.metrics import TrueLabels
from harness.models.preactresnet18 import PreActResNet
from harness.plan.registry import load
from harness.toolbox.normalise import Normalise
from harness.toolbox.predict import apply_trigger
from tests.benchmarks import machine_peak, reference_impls

CLASSES, TARGET = 10, 0


@dataclass(frozen=True)
class Size:
    """How much is measured: training and test images (5 to 1, as in CIFAR-10), and so on."""

    train: int = 1280
    test: int = 256
    width: int = 16
    repeats: int = 5
    evaluated: int = 1024
    """Clean test images that are evaluated."""
    spcs: tuple[int, ...] = (10,)
    """Images per class that IMS has."""
    iterations: int = 2
    """Of ANP."""


TINY = Size(128, 32, 2, 1, 64, (1,))
ON_GPU = Size(50_000, 10_000, 64, 3, 10_000, (2, 100), 10)


def size(tiny):
    if tiny:
        return TINY
    return ON_GPU if machine_peak.device().type == "cuda" else Size()


def images(n, seed=0):
    """Return uint8 images (n, 3, 32, 32) and labels (n,)."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, 3, 32, 32), generator=generator, dtype=torch.uint8), torch.arange(
        n
    ) % CLASSES


def bare(width):
    """Return the network without normalisation, as toolboxes have it."""
    torch.manual_seed(1)
    return PreActResNet(3, CLASSES, width)


def whole(width):
    """Return the same network as the harness has it, on the device that is measured."""
    net = nn.Sequential(
        OrderedDict(normalise=Normalise(reference_impls.MEAN, reference_impls.STD), net=bare(width))
    )
    return net.to(machine_peak.device(), memory_format=torch.channels_last)


def context():
    return Context(machine_peak.device(), torch.Generator().manual_seed(2))


def stamp_of(name):
    """Return the trigger of an attack with its default hyperparameters, and its state."""
    method = load("attack", name)
    train = TrainingSet(*(x.to(machine_peak.device()) for x in images(100)), CLASSES)
    state = method.function(train, Goal(TARGET, 0.1, CLASSES), method.hyper(), context()).state
    return lambda x: method.info.trigger(x, state), state


def evaluation_set(test, labels, stamp):
    """Return the clean and the triggered test images, as the harness keeps them."""
    chosen = labels != TARGET
    truth = TrueLabels(labels.numpy(), labels[chosen].numpy(), np.full(int(chosen.sum()), TARGET))
    test = test.to(machine_peak.device())
    triggered = apply_trigger(test[chosen.to(test.device)], stamp)
    return EvaluationSet(test, triggered, truth, CLASSES, chosen)
