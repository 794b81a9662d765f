"""BAN (Backdoors Activated by adversarial neuron Noise), its fine-tuning: stay right under noise.

Xu, Liu, Koffas, Yu, Picek, "BAN: Detecting Backdoors Activated by Adversarial Neuron Noise", arXiv
2405.19928. Threat model: clean samples only. (The paper's detector only decides whether to repair.)

Noise on batch norm's scales and shifts switches a backdoor on without a trigger. Every step takes
CE(clean) + lambda * CE(under noise that raises the loss). The settings are those of the command in
the authors' README (xiaoyunxxy/ban at 8a0f9189), for 2,500 clean images of CIFAR-10: noise from a
random start within 0.3, one sign step of 0.3 that is not clipped, so that it may reach 0.6; lambda
0.5; 25 epochs of SGD lr 0.005, constant, momentum 0.9, weight decay 5e-4; batch 128; training
augmentation. All passes use batch statistics, and running ones move on noisy passes too.

Preset ``authors``: 24 epochs, which that command runs. Departure: batches are shuffled (theirs come
in one order).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    BatchNormMode,
    Budget,
    Context,
    Count,
    NonNegative,
    Positive,
    Share,
    defense,
)
from harness.toolbox import (
    Loop,
    NoiseSearch,
    forward_with_noise,
    frozen_running_statistics,
    train_epochs,
    train_mode_,
    unit_scale_masks,
    worst_noise,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The noise, and the fine-tuning."""

    eps: NonNegative = 0.3
    """Largest relative change of a scale or a shift before the steps."""
    steps: Count = 1
    clip_noise: bool = False
    """Whether a step of the search ends within ``eps``; if not, the noise may reach 2 ``eps``."""
    lam: NonNegative = 0.5
    """lambda: weight of the loss under noise."""
    epochs: Count = 25
    batch: Count = 128
    lr: Positive = 0.005
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    batchnorm: BatchNormMode = "train"
    noisy_statistics: bool = True
    """Whether running statistics move on noisy passes too."""


PRESETS = {"authors": Hyper(epochs=24)}


@defense(
    paper="BAN: Detecting Backdoors Activated by Adversarial Neuron Noise, arXiv 2405.19928",
    year=2024,
    family="fine-tuning",
    version=1,
    display_name="BAN",
    requires="batchnorm",
    varied=("eps", "lam", "lr"),
)
def ban(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune on all clean samples and return the model after the last epoch."""
    ones = unit_scale_masks(model)
    search = NoiseSearch(hyper.eps, hyper.steps, hyper.clip_noise)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        with nullcontext() if hyper.noisy_statistics else frozen_running_statistics(model):
            noise = worst_noise(model, ones, (x, y), search, ctx)
            noisy = F.cross_entropy(forward_with_noise(model, ones, x, noise), y)
        loss = F.cross_entropy(model(x), y) + hyper.lam * noisy
        loss.backward()
        return loss

    train_mode_(model, hyper.batchnorm)
    optimiser = torch.optim.SGD(
        model.parameters(), hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    train_epochs(budget, step, optimiser, Loop(hyper.epochs, hyper.batch), ctx)
    return model.eval()
