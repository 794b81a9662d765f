"""D3 (Distance-Driven Detoxification): leave the old classifier as far behind as accuracy allows.

Wei, Liu, Wu, "Backdoor Mitigation by Distance-Driven Detoxification", arXiv 2411.09585. Threat
model: clean samples only.

The linear layers of the classifier get random weights w of the old norm; then the whole network is
trained on lambda * mean(relu(CE - eps)) - sum ||w - w_before||, and after every step each w is
rescaled to the norm of w_before, so that the distance is at most twice that. For lambda above 1 the
loss is divided by lambda + 1. Biases keep their values and are trained. The settings are the
paper's, for 2,500 clean images of CIFAR-10: lambda 10, eps 0.1, 100 epochs of SGD lr 0.01, momentum
0.9, no weight decay, a cosine that moves after each epoch, batch 256, training augmentation. A
small budget is few steps for a classifier that starts at random; the paper goes down to 500 images.

Preset ``authors``: lambda 0.5, which their configuration has where the paper says 10
(shawkui/Distance_Driven_Detoxification at ab96c36b); the rest is the defaults.
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
from harness.toolbox import Loop, classifier, train_epochs, train_mode_


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The loss, and the training."""

    lam: Positive = 10
    """lambda: weight of the cross-entropy against the distance."""
    eps: NonNegative = 0.1
    """Cross-entropy of a sample below which it does not count."""
    epochs: Count = 100
    batch: Count = 256
    lr: Positive = 0.01
    momentum: Share = 0.9
    batchnorm: BatchNormMode = "train"


PRESETS = {"authors": Hyper(lam=0.5)}


@defense(
    paper="Backdoor Mitigation by Distance-Driven Detoxification, arXiv 2411.09585",
    year=2025,
    family="fine-tuning",
    version=1,
    display_name="D3",
    varied=("lam", "eps", "lr"),
)
def d3(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Replace the classifier, train everything, and return the model after the last epoch."""
    layers = classifier(model)
    old = [layer.weight.detach().clone() for layer in layers]
    scale = 1 / (hyper.lam + 1) if hyper.lam > 1 else 1

    @torch.no_grad()
    def rescale(*_: object) -> None:
        for before, layer in zip(old, layers, strict=True):
            layer.weight.mul_(before.norm() / layer.weight.norm())

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        losses = F.cross_entropy(model(x), y, reduction="none")
        distances = [(w.weight - before).norm() for w, before in zip(layers, old, strict=True)]
        excess = F.relu(losses - hyper.eps).mean()
        loss: torch.Tensor = scale * (hyper.lam * excess - torch.stack(distances).sum())
        loss.backward()
        return loss

    _draw_weights_(layers, ctx)
    rescale()
    train_mode_(model, hyper.batchnorm)
    optimiser = torch.optim.SGD(model.parameters(), hyper.lr, hyper.momentum)
    optimiser.register_step_post_hook(rescale)
    loop = Loop(hyper.epochs, hyper.batch, cosine=True, cosine_per_epoch=True)
    train_epochs(budget, step, optimiser, loop, ctx)
    return model.eval()


@torch.no_grad()
def _draw_weights_(layers: list[nn.Linear], ctx: Context) -> None:
    for layer in layers:
        layer.weight.copy_(torch.rand(layer.weight.shape, generator=ctx.generator) - 0.5)
