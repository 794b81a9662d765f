"""FST (Feature Shift Tuning): re-initialise the classifier and keep it away from the old one.

Min, Qin, Shen, Cheng, "Towards Stable Backdoor Purification through Feature Shift Tuning", arXiv
2310.01875. Threat model: clean samples only.

The linear layers of the classifier get fresh weights w; then the whole network is trained on
cross-entropy + alpha <w, w_before>, and after every step each w is rescaled to the norm of
w_before. The settings are those of the IMS comparison (arXiv 2509.15497) for CIFAR-10: alpha 0.2,
10 epochs, SGD lr 0.01, momentum 0.9, cosine, batch 256, training augmentation (for GTSRB it has
alpha 0.1 and 15 epochs). The classifier is all linear layers after the last convolution or
normalisation: one on residual networks and EfficientNet, two on MobileNetV3, three on VGG, as in
the comparison. Departure: the cosine moves each step. Ten epochs of a small budget are few steps:
at SPC 2 on ten classes there are ten, from a fresh classifier.

Preset ``authors``: the command in their README for CIFAR-10 and BadNets
(AISafety-HKUST/stable_backdoor_purification at 37d2ef5c), for 1,000 clean images: batch 128, alpha
0.1 (0.2 is the script's default), and a cosine that moves after each epoch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, NonNegative, Positive, Share, added, defense
from harness.toolbox import Loop, classifier, train_epochs


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Tuning, and the penalty on similarity to the old classifier."""

    alpha: NonNegative = 0.2
    """Weight of <w, w_before>."""
    epochs: Count = 10
    batch: Count = 256
    lr: Positive = 0.01
    momentum: Share = 0.9
    cosine_per_epoch: bool = added(False)
    """Whether the learning rate moves after every epoch, and not after every step."""


PRESETS = {"authors": Hyper(batch=128, alpha=0.1, cosine_per_epoch=True)}


@defense(
    paper="Towards Stable Backdoor Purification through Feature Shift Tuning, arXiv 2310.01875",
    year=2023,
    family="fine-tuning",
    version=1,
    display_name="FST",
    varied=("alpha", "lr"),
)
def fst(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Re-initialise the classifier, tune everything, and return the model after the last epoch."""
    layers = classifier(model)
    old = [layer.weight.detach().clone() for layer in layers]
    for layer in layers:
        _reset_(layer, ctx)

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        similarity = sum(
            (before * layer.weight).sum() for before, layer in zip(old, layers, strict=True)
        )
        loss = F.cross_entropy(model(x), y) + hyper.alpha * similarity
        loss.backward()
        return loss

    @torch.no_grad()
    def rescale(*_: object) -> None:
        for before, layer in zip(old, layers, strict=True):
            layer.weight.mul_(before.norm() / layer.weight.norm())

    model.train()
    optimiser = torch.optim.SGD(model.parameters(), hyper.lr, hyper.momentum)
    optimiser.register_step_post_hook(rescale)
    loop = Loop(hyper.epochs, hyper.batch, cosine=True, cosine_per_epoch=hyper.cosine_per_epoch)
    train_epochs(budget, step, optimiser, loop, ctx)
    return model.eval()


@torch.no_grad()
def _reset_(layer: nn.Linear, ctx: Context) -> None:
    """Draw weight and bias uniformly within 1 / sqrt(inputs), as torch does for a new layer."""
    for parameter in layer.parameters():
        drawn = 2 * torch.rand(parameter.shape, generator=ctx.generator) - 1
        parameter.copy_(drawn / layer.in_features**0.5)
