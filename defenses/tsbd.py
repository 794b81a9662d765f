"""TSBD: zero the weights that clean unlearning changes most, then activeness-aware fine-tuning.

Lin, Liu, Wei, Li, Xiong, "Unveiling and Mitigating Backdoor Vulnerabilities based on Unlearning
Weight Changes and Backdoor Activeness", arXiv 2405.20291. Threat model: clean samples only.

A copy unlearns the clean budget by gradient ascent, until its accuracy is at most 0.1. The change
of a filter is the sum of its weights' absolute changes. Of the filters with the largest changes (a
share n of all, those of shortcuts left out), the weights that changed most (a share m of theirs)
are set to zero in the victim. Then it is fine-tuned with the gradient (1 - alpha) g(w) + alpha g(w
+ r g / ||g||), with one norm per tensor. The settings are the authors': ascent with SGD lr 1e-4,
momentum 0.9, at most 1,000 epochs; n 0.15, m 0.7; SGD lr 0.01, momentum 0.9, 21 epochs, r 0.05,
alpha 0.7; batch 256, training augmentation. Departures: n is fixed (their script tries eleven
values and reports each on test data); filters are ranked by exact sums (theirs are rounded to four
decimals); the accuracy that ends the ascent is that of images as they are (theirs are augmented);
running statistics move with the weights before a step (theirs with those after it); batches are
drawn again in every pass (theirs are the same). The preset ``authors`` is the defaults.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, Positive, Share, defense
from harness.toolbox import (
    Loop,
    accuracy,
    convolutions,
    displaced_weights,
    frozen_running_statistics,
    sam_ascent,
    set_gradients,
    train_epochs,
)

SHORTCUTS = ("shortcut", "downsample")
"""Convolutions with such a name are left out."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Unlearning, zeroing, and fine-tuning."""

    unlearn_epochs: Count = 1000
    """The largest number of epochs of unlearning."""
    unlearn_lr: Positive = 1e-4
    unlearn_to: Share = 0.1
    """Accuracy on the clean budget at which unlearning ends."""
    filters: Share = 0.15
    """n, the share of all filters."""
    weights: Share = 0.7
    """m, the share of the chosen filters' weights."""
    epochs: Count = 21
    lr: Positive = 0.01
    momentum: Share = 0.9
    batch: Count = 256
    radius: Positive = 0.05
    """r, the length of the step to nearby weights."""
    alpha: Share = 0.7


PRESETS = {"authors": Hyper()}


@defense(
    paper="Unveiling and Mitigating Backdoor Vulnerabilities based on Unlearning Weight Changes "
    "and Backdoor Activeness, arXiv 2405.20291",
    year=2024,
    family="fine-tuning",
    version=2,
    display_name="TSBD",
    requires="convolutions",
    varied=("filters", "unlearn_lr", "lr"),
)
def tsbd(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Zero weights, fine-tune, and return the model after the last epoch."""
    unlearned = unlearn_(copy.deepcopy(model), budget, hyper, ctx)
    ctx.log(0, zeroed=zero_most_changed_(model, unlearned, hyper))
    weights = list(model.parameters())

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), y)
        gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
        ascent = [
            sam_ascent([w], [g], hyper.radius)[0] for w, g in zip(weights, gradients, strict=True)
        ]
        with displaced_weights(weights, ascent), frozen_running_statistics(model):
            nearby_loss = F.cross_entropy(model(x), y)
            nearby = torch.autograd.grad(nearby_loss, weights, materialize_grads=True)
        pairs = zip(gradients, nearby, strict=True)
        mixed = [(1 - hyper.alpha) * g + hyper.alpha * h for g, h in pairs]
        set_gradients(weights, mixed)
        return loss

    model.train()
    optimiser = torch.optim.SGD(weights, hyper.lr, hyper.momentum)
    train_epochs(budget, step, optimiser, Loop(hyper.epochs, hyper.batch), ctx)
    return model.eval()


def unlearn_(net: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Raise the cross-entropy of ``net`` on clean data in place, and return it."""

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(net.train()(x), y)
        (-loss).backward()
        return loss

    optimiser = torch.optim.SGD(net.parameters(), hyper.unlearn_lr, hyper.momentum)
    loop = Loop(hyper.unlearn_epochs, hyper.batch)
    train_epochs(
        budget, step, optimiser, loop, ctx, stop=lambda: accuracy(net, budget) <= hyper.unlearn_to
    )
    return net


@torch.no_grad()
def zero_most_changed_(model: nn.Module, after: nn.Module, hyper: Hyper) -> int:
    """Set the weights that unlearning changed most to zero; return how many there are."""
    layers = {
        name: layer
        for name, layer in convolutions(model).items()
        if not any(shortcut in name for shortcut in SHORTCUTS)
    }
    new = convolutions(after)
    changes = {name: (new[name].weight - layer.weight).abs() for name, layer in layers.items()}
    sums = torch.cat([change.sum((1, 2, 3)) for change in changes.values()])
    chosen = torch.zeros_like(sums, dtype=torch.bool)
    chosen[sums.argsort(descending=True)[: int(hyper.filters * len(sums))]] = True
    by_layer = dict(
        zip(layers, chosen.split([x.out_channels for x in layers.values()]), strict=True)
    )
    candidates = torch.cat([changes[name][by_layer[name]].flatten() for name in layers])
    count = int(hyper.weights * len(candidates))
    if count == 0:
        return 0
    least = candidates.sort(descending=True).values[count - 1]
    for name, layer in layers.items():
        layer.weight[by_layer[name][:, None, None, None] & (changes[name] >= least)] = 0
    return count
