"""I-BAU: unlearn a universal adversarial perturbation by implicit hypergradients.

Zeng, Chen, Park, Mao, Jin, Jia, "Adversarial Unlearning of Backdoors via Implicit Hypergradient",
arXiv 2110.03735. Threat model: clean samples only.

Every round searches one perturbation for all images (one pass of SGD on the negative cross-entropy
of the model's own predictions, plus a penalty on its norm), then takes one step per batch on the
cross-entropy with the perturbation on a few images of the batch, by the implicit hypergradient. The
settings are those of the IMS comparison (arXiv 2509.15497): 5 rounds; inner SGD lr 10, penalty
0.001; hypergradient of 5 fixed-point iterations of a gradient step of 0.1 on the first batch; Adam
(amsgrad) lr 1e-4; batch 256; training augmentation; running statistics fixed. The perturbation
is added to normalised images, as theirs is: its unit is the standard deviation by which the victim
normalises its input. Departure: at least one image of a batch is perturbed (theirs rounds down:
below 100 images none is, and the method becomes plain fine-tuning).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, NonNegative, Positive, Share, defense
from harness.toolbox import (
    Samples,
    batches,
    hypergradient,
    minimise_perturbation,
    pixel_unit,
    set_gradients,
    twice_differentiable,
)


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The inner search, the hypergradient, and the outer step."""

    rounds: Count = 5
    inner_lr: Positive = 10
    penalty: NonNegative = 0.001
    """Weight of the perturbation's squared norm."""
    map_lr: Positive = 0.1
    """Size of the gradient step that defines the fixed-point map."""
    iterations: Count = 5
    """Fixed-point iterations of the hypergradient."""
    share: Share = 0.01
    """Share of a batch that is perturbed in the outer step, at least one image."""
    lr: Positive = 1e-4
    batch: Count = 256


@defense(
    paper="Adversarial Unlearning of Backdoors via Implicit Hypergradient, arXiv 2110.03735",
    year=2022,
    family="unlearning",
    version=2,
    display_name="I-BAU",
)
def i_bau(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Unlearn in rounds and return the model after the last."""
    model.eval()
    with twice_differentiable(model):
        _unlearn_(model, budget, hyper, ctx)
    return model


def _unlearn_(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> None:
    weights = list(model.parameters())
    optimiser = torch.optim.Adam(weights, hyper.lr, amsgrad=True)
    data = list(batches(budget, hyper.batch, ctx))
    for number in range(hyper.rounds):
        delta = universal_perturbation(model, budget, hyper, ctx).requires_grad_()
        for x, y in data:
            mapped = delta - hyper.map_lr * _inner_gradient(model, data[0], delta, hyper)
            loss = outer_loss(model, (x, y), delta, hyper, ctx)
            set_gradients(weights, hypergradient(loss, mapped, delta, weights, hyper.iterations))
            optimiser.step()
            ctx.check()
        ctx.log(number, norm=delta.norm().item(), loss=loss.item())


def universal_perturbation(
    model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context
) -> torch.Tensor:
    """Return a perturbation (1, C, H, W) of normalised images that changes predictions."""
    delta = torch.zeros_like(budget.images[:1], requires_grad=True)
    optimiser = torch.optim.SGD([delta], hyper.inner_lr)
    for x, _ in batches(budget, hyper.batch, ctx):
        with torch.no_grad():
            predicted = model(x).argmax(1)

        def loss(delta: torch.Tensor, batch: Samples = (x, predicted)) -> torch.Tensor:
            return inner_loss(model, batch, delta, hyper)

        minimise_perturbation(delta, loss, optimiser, steps=1, bound=float("inf"))
    return delta.detach()


def inner_loss(model: nn.Module, batch: Samples, delta: torch.Tensor, hyper: Hyper) -> torch.Tensor:
    """Return the negative cross-entropy of perturbed images plus the penalty."""
    x, y = batch
    return (
        -F.cross_entropy(model(x + pixel_unit(model) * delta), y)
        + hyper.penalty * delta.square().sum()
    )


def _inner_gradient(
    model: nn.Module, batch: Samples, delta: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    loss = inner_loss(model, batch, delta, hyper)
    return torch.autograd.grad(loss, delta, create_graph=True)[0]


def outer_loss(
    model: nn.Module, batch: Sequence[torch.Tensor], delta: torch.Tensor, hyper: Hyper, ctx: Context
) -> torch.Tensor:
    """Return the cross-entropy of a batch, some of its images perturbed."""
    x, y = batch
    chosen = torch.randperm(len(x), generator=ctx.generator)[: max(1, int(hyper.share * len(x)))]
    perturbed = torch.zeros(len(x), 1, 1, 1)
    perturbed[chosen] = 1
    return F.cross_entropy(model(x + perturbed.to(x.device) * pixel_unit(model) * delta), y)
