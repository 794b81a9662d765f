"""FT-SAM: fine-tune towards flat minima, where weights that only the trigger needs shrink.

Zhu, Wei, Shen, Fan, Wu, "Enhancing Fine-Tuning Based Backdoor Defense with Sharpness-Aware
Minimization", arXiv 2304.11823. Threat model: clean samples only.

Every step takes its gradient at w + rho w^2 g / || |w| g || (the adaptive form of sharpness-aware
minimisation). The settings are those of the IMS comparison (arXiv 2509.15497): rho 2, label
smoothing 0.1 spread over the other classes, SGD lr 0.01, momentum 0.9, weight decay 5e-4, batch
256, 100 epochs, training augmentation; running statistics move on the first pass alone. Departure:
cosine over all steps (theirs always assumes 100 batches in all, so that on larger budgets the rate
goes up and down; up to 256 images the two agree).

Preset ``authors``: the defaults, with that cosine of 100 steps down, 100 up, and so on. It is the
setting of the authors' BackdoorBench (at f02e3534) for 2,500 clean images of CIFAR-10; for GTSRB it
has 50 epochs, rho 8 and no smoothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Budget,
    Context,
    FineTuning,
    NonNegativeCount,
    Positive,
    Share,
    added,
    defense,
)
from harness.toolbox import (
    Loop,
    displaced_weights,
    frozen_running_statistics,
    sam_ascent,
    set_gradients,
    train_epochs,
)


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """Fine-tuning, and the size of the perturbation of the weights."""

    rho: Positive = 2
    """Length of the step towards the worst loss, in the adaptive norm."""
    smoothing: Share = 0.1
    """Share of every label that is spread evenly over the other classes."""
    wave: NonNegativeCount = added(0)
    """Steps in which the learning rate falls to zero, to rise again in as many; 0: it falls over
    all steps."""


PRESETS = {"authors": Hyper(wave=100)}


@defense(
    paper="Enhancing Fine-Tuning Based Backdoor Defense with Sharpness-Aware Minimization, "
    "arXiv 2304.11823",
    year=2023,
    family="fine-tuning",
    version=1,
    display_name="FT-SAM",
    varied=("rho", "lr"),
)
def ft_sam(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune on all clean samples and return the model after the last epoch."""
    weights = list(model.parameters())
    # torch spreads its share over all classes, the true one included
    smoothing = hyper.smoothing * budget.classes / (budget.classes - 1)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), y, label_smoothing=smoothing)
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        worst = sam_ascent(weights, gradients, hyper.rho, adaptive=True)
        with displaced_weights(weights, worst), frozen_running_statistics(model):
            perturbed = F.cross_entropy(model(x), y, label_smoothing=smoothing)
            set_gradients(weights, torch.autograd.grad(perturbed, weights, materialize_grads=True))
        return loss

    model.train()
    optimiser = torch.optim.SGD(weights, hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay)
    loop = Loop(hyper.epochs, hyper.batch, cosine=True, wave=hyper.wave)
    train_epochs(budget, step, optimiser, loop, ctx)
    return model.eval()
