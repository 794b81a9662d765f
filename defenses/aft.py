"""AFT (Adversarial Fine-Tuning): fine-tune on adversarial examples first, then on clean images.

Mu, Niu, Wang, Wang, Guo, Jin, Yang, "Progressive Backdoor Erasing via Connecting Backdoor and
Adversarial Attacks", arXiv 2202.06312. Threat model: clean samples only. (The paper's progressive
form also uses the poisoned training set, which is outside this benchmark.)

Untargeted adversarial examples of a network with a backdoor fall towards the target class, as
triggered images do; so training on them with true labels unlearns the trigger. The settings are
those of the authors' script (John-niu-07/BPE at 73a35257): 3 epochs on examples of 7 sign steps of
eps / 5 within eps = 6/255 of each pixel, found in eval mode, then 17 epochs on clean images; SGD lr
0.001, constant, momentum 0.9, weight decay 5e-4, batch 128. The preset ``authors`` is the defaults.
Departures: examples are clipped to [0, 1] in the end; the augmentation is the data set's (theirs
also rotates by up to 10 degrees and pads by 5).
"""

from __future__ import annotations

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
from harness.toolbox import Loop, minimise_perturbation, sign_sgd, train_epochs, train_mode_


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The adversarial examples, and the fine-tuning."""

    adversarial_epochs: Count = 3
    clean_epochs: Count = 17
    """Epochs on clean images, after the others."""
    eps: Positive = 6 / 255
    """Largest change of a pixel value in [0, 1]."""
    step: Positive = 6 / 255 / 5
    steps: Count = 7
    batch: Count = 128
    lr: Positive = 0.001
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    batchnorm: BatchNormMode = "train"


PRESETS = {"authors": Hyper()}


@defense(
    paper="Progressive Backdoor Erasing via Connecting Backdoor and Adversarial Attacks, "
    "arXiv 2202.06312",
    year=2023,
    family="unlearning",
    version=2,
    display_name="AFT",
    varied=("eps", "lr"),
)
def aft(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune in two parts and return the model after the last epoch."""

    def clean_step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(train_mode_(model, hyper.batchnorm)(x), y)
        loss.backward()
        return loss

    def adversarial_step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return clean_step(adversarial_examples(model.eval(), x, y, hyper), y)

    optimiser = torch.optim.SGD(
        model.parameters(), hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    for step, epochs in (
        (adversarial_step, hyper.adversarial_epochs),
        (clean_step, hyper.clean_epochs),
    ):
        train_epochs(budget, step, optimiser, Loop(epochs, hyper.batch), ctx)
    return model.eval()


def adversarial_examples(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    """Return images (n, C, H, W) in [0, 1], within ``eps`` of ``x``, with a high loss for ``y``.

    The search does not clip: black and white pixels would have no gradient there.
    """

    def loss(delta: torch.Tensor) -> torch.Tensor:
        return -F.cross_entropy(model(x + delta), y)

    delta = torch.zeros_like(x, requires_grad=True)
    optimiser = sign_sgd(delta, hyper.step)
    return (x + minimise_perturbation(delta, loss, optimiser, hyper.steps, hyper.eps)).clamp(0, 1)
