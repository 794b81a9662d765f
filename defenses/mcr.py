"""MCR (Mode Connectivity Repair): a network on the path from the victim to a fine-tuned copy.

Zhao, Chen, Das, Ramamurthy, Lin, "Bridging Mode Connectivity in Loss Landscapes and Adversarial
Robustness", arXiv 2005.00060. Threat model: clean samples only.

Between the victim's weights w_0 and those of a fine-tuned copy w_1, the curve w(t) = (1 - t)^2 w_0
+ 2 t (1 - t) w_m + t^2 w_1 is trained: w_m, from their mean, on the cross-entropy at a t that is
uniform on [0, 1] for each batch. The network at t = 0.1 is returned, with running statistics
gathered again on the clean samples. The settings are those of BackdoorBench (SCLBD/BackdoorBench at
f02e3534), for 2,500 clean images of CIFAR-10: 100 epochs each of SGD with momentum 0.9, weight
decay 5e-4 and cosine, lr 0.01 for the copy and 3e-5 for the curve; batch 128; training
augmentation. Departures: gradients of the curve are set to zero before every step; statistics are
gathered afresh (there they are running averages that passes at other t have moved too); the cosine
moves each step. The networks at t = 0.3 and t = 0.5 are companions.

Preset ``authors``: BackdoorBench never sets the curve's gradients to zero, so that a step takes the
sum of all so far. With its learning rate w_m hardly leaves its start otherwise.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from harness.contract import (
    Budget,
    Context,
    Count,
    Defended,
    FineTuning,
    Positive,
    Share,
    added,
    defense,
)
from harness.toolbox import Loop, fine_tune_, refresh_statistics_, train_epochs

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """Fine-tuning of the copy, the curve, and the point on it."""

    batch: Count = 128
    curve_epochs: Count = 100
    curve_lr: Positive = 3e-5
    add_up_gradients: bool = added(False)
    """Whether a step of the curve takes the sum of the gradients of all steps so far."""
    t: Share = 0.1
    """The point that is returned: 0 is the victim, 1 the fine-tuned copy."""
    others: tuple[Share, ...] = (0.3, 0.5)
    """Further points, as companions."""


PRESETS = {"authors": Hyper(add_up_gradients=True)}


@defense(
    paper="Bridging Mode Connectivity in Loss Landscapes and Adversarial Robustness, "
    "arXiv 2005.00060",
    year=2020,
    family="fine-tuning",
    version=1,
    display_name="MCR",
    varied=("t", "lr"),
)
def mcr(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Fine-tune a copy, train the curve, and return the network at t."""
    samples = budget.images, budget.labels
    tuned = fine_tune_(copy.deepcopy(model), samples, hyper, budget.augment, ctx)
    ends = weights_of(model), weights_of(tuned)
    middle = train_curve(model, ends, budget, hyper, ctx)

    def network_at(t: float) -> nn.Module:
        net = copy.deepcopy(model)
        net.load_state_dict(point(ends, middle, t), strict=False)
        return refresh_statistics_(net, budget, hyper.batch, ctx)

    companions = {f"t-{t:g}": network_at(t) for t in hyper.others}
    return Defended(network_at(hyper.t), companions=companions)


def train_curve(
    model: nn.Module, ends: tuple[Weights, Weights], budget: Budget, hyper: Hyper, ctx: Context
) -> Weights:
    """Return w_m; ``model`` gives the structure, and its running statistics are left alone."""
    net = copy.deepcopy(model).train()
    middle = {name: ((w + ends[1][name]) / 2).requires_grad_() for name, w in ends[0].items()}
    sums = [torch.zeros_like(w) for w in middle.values()]

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        t = torch.rand((), generator=ctx.generator).item()
        loss = F.cross_entropy(functional_call(net, point(ends, middle, t), (x,)), y)
        loss.backward()
        if hyper.add_up_gradients:
            factor = 2 * t * (1 - t)  # of w_m at t
            for w, total in zip(middle.values(), sums, strict=True):
                assert w.grad is not None
                w.grad = factor * total.add_(w.grad / factor)
        return loss

    optimiser = torch.optim.SGD(
        middle.values(), hyper.curve_lr, hyper.momentum, weight_decay=hyper.weight_decay
    )
    loop = Loop(hyper.curve_epochs, hyper.batch, cosine=True)
    train_epochs(budget, step, optimiser, loop, ctx)
    return {name: w.detach() for name, w in middle.items()}


def weights_of(model: nn.Module) -> Weights:
    """Return all trained weights by name."""
    return {name: w.detach() for name, w in model.named_parameters()}


def point(ends: tuple[Weights, Weights], middle: Weights, t: float) -> Weights:
    """Return the weights at t: 0 is the first end, 1 the last."""
    first, last = ends
    return {
        name: (1 - t) ** 2 * first[name] + 2 * t * (1 - t) * w + t**2 * last[name]
        for name, w in middle.items()
    }
