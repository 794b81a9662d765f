"""LMR (Logit-Margin Repulsion): push the backdoor's class down, then drop the features it lost.

"Logit-Margin Repulsion", CVPR 2026. Threat model: clean samples only. The repository of the authors
could not be obtained: this follows a description of the paper, and what it leaves open is ours.

First, a copy unlearns clean data until its accuracy is about random; the class to which it then
gives the highest mean probability is taken as the backdoor's. Second, the model itself is trained
on CE of the other classes + alpha * relu(z_class - largest other logit + m1) on these + beta *
relu(largest wrong logit - right logit + m2) on all, until the class itself is classified about at
random. Third, the inputs of the last linear layer whose weight for the class has moved most are
set to zero for all classes and stay so, while everything is tuned on CE. The paper's: alpha 1,
beta 0.25, m1 3, m2 0.5. Ours: SGD lr 0.01 with momentum 0.9 in all parts; at most 100 steps of
unlearning, 200 of repulsion, 200 of tuning; 5 % of the inputs; "about random" is 1.5 / classes;
batch 128; training augmentation; running statistics fixed until the tuning. One class is
found, so an attack on several is repaired for one of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    BatchNormMode,
    Budget,
    Context,
    Count,
    Defended,
    NonNegative,
    Positive,
    Share,
    defense,
)
from harness.toolbox import accuracy, classifier, random_batch, train_mode_


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The three parts."""

    unlearning_steps: Count = 100
    repulsion_steps: Count = 200
    tuning_steps: Count = 200
    alpha: NonNegative = 1
    """Weight of the repulsion of the class."""
    beta: NonNegative = 0.25
    """Weight of the margin of the right class."""
    repulsion_margin: NonNegative = 3
    """m1."""
    class_margin: NonNegative = 0.5
    """m2."""
    share: Share = 0.05
    """Share of the last layer's inputs that are set to zero, rounded down, at least one."""
    lr: Positive = 0.01
    momentum: Share = 0.9
    batch: Count = 128
    batchnorm: BatchNormMode = "train"
    """In the tuning."""


@defense(
    paper="Logit-Margin Repulsion, CVPR 2026",
    year=2026,
    family="unlearning",
    version=1,
    display_name="LMR",
    varied=("alpha", "beta", "repulsion_margin"),
)
def lmr(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Find the class, repel it, tune without its features; return model, class and cut inputs."""
    label = backdoor_class(model, budget, hyper, ctx)
    head = classifier(model)[-1]
    before = head.weight[label].detach().clone()
    repel_(model, budget, label, hyper, ctx)
    moved = (head.weight[label].detach() - before).abs()
    count = max(1, int(hyper.share * len(moved)))
    cut = torch.zeros_like(moved, dtype=torch.bool)
    cut[moved.argsort(descending=True)[:count]] = True
    tune_without_(model, cut, budget, hyper, ctx)
    artifacts = {"class": torch.tensor([label]), "cut_inputs": cut.float()}
    return Defended(model, artifacts=artifacts)


def backdoor_class(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> int:
    """Return the class that a copy predicts on clean images once it has unlearned them."""
    net = copy.deepcopy(model).eval()

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return -F.cross_entropy(net(x), y)

    def is_unlearned() -> bool:
        return accuracy(net, budget) <= 1.5 / budget.classes

    _train(net, budget, Part(loss, hyper.unlearning_steps, is_unlearned), hyper, ctx)
    with torch.no_grad():
        probabilities = torch.cat([net(x).softmax(1) for x in budget.images.split(500)])
    return int(probabilities.mean(0).argmax())


def repel_(model: nn.Module, budget: Budget, label: int, hyper: Hyper, ctx: Context) -> None:
    """Push the logit of a class below the others, until its own images are missed."""
    own = budget.subset((budget.labels == label).nonzero()[:, 0])

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return repulsion_loss(model(x), y, label, hyper)

    def is_repelled() -> bool:
        return len(own) > 0 and accuracy(model, own) <= 1.5 / budget.classes

    _train(model.eval(), budget, Part(loss, hyper.repulsion_steps, is_repelled), hyper, ctx)


def repulsion_loss(logits: torch.Tensor, y: torch.Tensor, label: int, hyper: Hyper) -> torch.Tensor:
    """Return the loss of the second part, from logits (n, classes) and labels (n,)."""
    classes = torch.arange(logits.shape[1], device=y.device)
    largest_other = logits.masked_fill(classes == label, -torch.inf).amax(1)
    largest_wrong = logits.masked_fill(classes == y[:, None], -torch.inf).amax(1)
    repulsion = F.relu(logits[:, label] - largest_other + hyper.repulsion_margin)
    margin = F.relu(largest_wrong - logits.gather(1, y[:, None])[:, 0] + hyper.class_margin)
    others = F.cross_entropy(logits, y, reduction="none") + hyper.alpha * repulsion
    losses: torch.Tensor = (y != label) * others + hyper.beta * margin
    return losses.mean()


def tune_without_(
    model: nn.Module, cut: torch.Tensor, budget: Budget, hyper: Hyper, ctx: Context
) -> None:
    """Set inputs of the last layer to zero, bool (width,), and tune all that is left on CE."""
    head = classifier(model)[-1]

    @torch.no_grad()
    def zero(*_: object) -> None:
        head.weight[:, cut] = 0

    def loss(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(x), y)

    zero()
    train_mode_(model, hyper.batchnorm)
    _train(model, budget, Part(loss, hyper.tuning_steps, after=zero), hyper, ctx)
    model.eval()


@dataclass(frozen=True)
class Part:
    """One part of the method: what is minimised, for how long."""

    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    steps: int
    stop: Callable[[], bool] = lambda: False
    """Called after every step; True ends the part."""
    after: Callable[..., None] = lambda *_: None
    """Called after every step of the optimiser."""


def _train(net: nn.Module, budget: Budget, part: Part, hyper: Hyper, ctx: Context) -> None:
    optimiser = torch.optim.SGD(net.parameters(), hyper.lr, hyper.momentum)
    optimiser.register_step_post_hook(part.after)
    size = min(hyper.batch, len(budget))
    for step in range(part.steps):
        loss = part.loss(*random_batch(budget, size, ctx))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0:
            ctx.log(step, loss=loss.item())
        ctx.check()
        if part.stop():
            return
