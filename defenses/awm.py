"""AWM (Adversarial Weight Masking): fade out the weights that a universal perturbation relies on.

Chai, Chen, "One-shot Neural Backdoor Erasing via Adversarial Weight Masking", arXiv 2207.04497.
Threat model: clean samples only, down to one image per class.

A mask m in [0, 1] on every weight of every convolution is trained, the network fixed in eval mode.
Each of 20 rounds searches one perturbation for all images, by a pass of SGD lr 10 away from the
network's own predictions, scales it into an L1 ball of radius tau, and takes a pass of Adam lr 0.01
on alpha CE(x) + (1 - alpha) CE(x + perturbation, clipped to [0, 1]) + 1e-8 sum m. The masks are
folded into the weights. The settings are those of the authors' script (jinghuichen/AWM at
a4a5f16c): alpha 0.9, tau 1000, batch 128, no augmentation; below 500 images those of its command
for one image per class: alpha 0.99, tau 100, batch 32. A pass is five times as many batches as the
budget has, drawn with replacement. Departures: at least five batches, of at most the budget's size
(theirs rounds down and then does nothing); clean images come from the training set (theirs from the
test set); no resized copies are added for one image per class. The preset ``authors`` is the
defaults.

``mask: batchnorm`` is the form that the IMS comparison (arXiv 2509.15497) ran under this name:
masks on batch norm's scales, by SGD lr 0.01; it also has ``decay: 0.9``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from harness.contract import (
    Budget,
    Context,
    Count,
    Defended,
    NonNegative,
    Positive,
    Share,
    defense,
)
from harness.toolbox import (
    minimise_perturbation,
    random_batch,
    set_gradients,
)

FEW = 500
"""Images below which the settings are those for one image per class."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The search for the perturbation, and the masks."""

    mask: Literal["convolutions", "batchnorm"] = "convolutions"
    rounds: Count = 20
    passes: Count = 5
    """Batches of each search and each training, in passes over the budget."""
    perturbation_lr: Positive = 10
    lr: Positive = 0.01
    decay: Positive = 1
    """Factor on ``lr`` after every round."""
    alpha: Share | None = None
    """Weight of clean images; None: 0.9, or 0.99 below 500 images."""
    tau: Positive | None = None
    """L1 norm of the perturbation in pixel values; None: 1000, or 100 below 500 images."""
    batch: Count | None = None
    """None: 128, or 32 below 500 images."""
    sparsity: NonNegative = 1e-8
    """Weight of the sum of the masks."""


PRESETS = {"authors": Hyper()}


class Settings(NamedTuple):
    """The settings that depend on the size of the budget."""

    alpha: float
    tau: float
    batch: int
    batches: int
    """Batches per search and per training."""


def settings(hyper: Hyper, n: int) -> Settings:
    """Return the settings for a budget of ``n`` images."""
    alpha, tau, batch = (0.99, 100.0, 32) if n < FEW else (0.9, 1000.0, 128)
    size = min(n, hyper.batch or batch)
    batches = hyper.passes * math.ceil(n / size)
    return Settings(alpha if hyper.alpha is None else hyper.alpha, hyper.tau or tau, size, batches)


class MaskedNetwork:
    """A network in eval mode whose layers' weights are multiplied by masks."""

    def __init__(self, model: nn.Module, mask: str) -> None:
        kind = nn.Conv2d if mask == "convolutions" else _BatchNorm
        self.model = model.eval()
        self.weights = {
            f"{name}.weight": module.weight
            for name, module in model.named_modules()
            if isinstance(module, kind)
        }
        if not self.weights:
            raise ValueError(f"AWM is to mask {mask}; this network has none")
        self.masks = {
            name: torch.ones_like(weight, requires_grad=True)
            for name, weight in self.weights.items()
        }

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        masked = {name: weight * self.masks[name] for name, weight in self.weights.items()}
        logits: torch.Tensor = functional_call(self.model, masked, (images,))
        return logits

    @torch.no_grad()
    def fold_(self) -> nn.Module:
        """Multiply the masks into the model's weights, and return the model."""
        for name, weight in self.weights.items():
            weight.mul_(self.masks[name])
        return self.model


@defense(
    paper="One-shot Neural Backdoor Erasing via Adversarial Weight Masking, arXiv 2207.04497",
    year=2022,
    family="pruning",
    version=1,
    display_name="AWM",
    requires="convolutions",
    varied=("sparsity", "lr"),
)
def awm(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Train the masks; return the model with the masks folded in, and each layer's mean mask."""
    net, chosen = MaskedNetwork(model, hyper.mask), settings(hyper, len(budget))
    masks = list(net.masks.values())
    optimiser = (
        torch.optim.Adam(masks, hyper.lr)
        if hyper.mask == "convolutions"
        else torch.optim.SGD(masks, hyper.lr)
    )
    decay = torch.optim.lr_scheduler.ExponentialLR(optimiser, hyper.decay)
    for number in range(hyper.rounds):
        delta = universal_perturbation(net, budget, chosen, hyper, ctx)
        for _ in range(chosen.batches):
            x, y = random_batch(budget, chosen.batch, ctx, augment=False)
            clean = F.cross_entropy(net(x), y)
            robust = F.cross_entropy(net((x + delta).clamp(0, 1)), y)
            size = torch.stack([mask.sum() for mask in masks]).sum()
            loss = chosen.alpha * clean + (1 - chosen.alpha) * robust + hyper.sparsity * size
            set_gradients(masks, torch.autograd.grad(loss, masks))
            optimiser.step()
            clip_(masks)
            ctx.check()
        decay.step()
        ctx.log(number, clean=clean.item(), robust=robust.item(), norm=delta.abs().sum().item())
    means = {f"mask.{name}": mask.detach().mean().view(1) for name, mask in net.masks.items()}
    return Defended(net.fold_(), artifacts=means)


def universal_perturbation(
    net: MaskedNetwork, budget: Budget, chosen: Settings, hyper: Hyper, ctx: Context
) -> torch.Tensor:
    """Return one perturbation of all images, (1, C, H, W), of L1 norm at most tau."""
    delta = torch.zeros_like(budget.images[:1], requires_grad=True)
    optimiser = torch.optim.SGD([delta], hyper.perturbation_lr)

    def loss(delta: torch.Tensor) -> torch.Tensor:
        x, _ = random_batch(budget, chosen.batch, ctx, augment=False)
        with torch.no_grad():
            predicted = net(x).argmax(1)
        return -F.cross_entropy(net(x + delta), predicted)

    found = minimise_perturbation(delta, loss, optimiser, chosen.batches, float("inf"))
    norm = found.abs().sum()
    return found * (chosen.tau / norm.clamp_min(chosen.tau))


@torch.no_grad()
def clip_(masks: list[torch.Tensor]) -> None:
    """Clip the masks to [0, 1]."""
    for mask in masks:
        mask.clamp_(0, 1)
