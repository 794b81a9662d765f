"""UNIT: bound every single activation as tightly as clean accuracy allows.

Cheng, Shen, An, Ma, Zhang, Guo, Xu, Tao, Zhang, "UNIT: Backdoor Mitigation via Automated Neural
Distribution Tightening", arXiv 2407.11372. Threat model: clean samples only.

Every activation, per channel and position, gets a cap: mean + 4 standard deviations over clean
samples at first. The caps are lowered on cross-entropy + cost * sum over layers of the mean cap,
the network fixed in eval mode; the cost doubles after 5 steps in a row with validation accuracy
within 3 points of the start (it returns to its first value from below), and is divided by 2^1.5
after 5 steps further off. The caps with the smallest sum at which accuracy was within those 3
points are kept; the result is a network with caps in it. The settings are those of the authors'
script (Megum1/UNIT at b78fe555), for 2,500 clean images of CIFAR-10: 300 steps of Adam lr 0.001
with betas 0.5 and 0.9 on the whole budget, augmented once, a fifth of it held out. The preset
``authors`` is the defaults. Departures: accuracy and sum are those of the caps that are kept
(theirs keeps the caps before a step with the accuracy after it); validation images are not
augmented; in networks without activation modules the activations are those of ReLU after every
batch norm.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import Budget, Context, Count, Defended, NonNegative, Positive, Share, defense
from harness.toolbox import Caps, accuracy, activations, hold_out, set_gradients, with_caps

CHUNK = 250
"""Images per pass."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The caps and their training."""

    deviations: NonNegative = 4
    """Standard deviations above the mean at which caps start."""
    steps: Count = 300
    lr: Positive = 0.001
    cost: Positive = 0.001
    """Initial weight of the caps."""
    cost_factor: Positive = 2
    patience: Count = 5
    """Steps in a row after which the cost changes."""
    tolerance: Share = 0.03
    """Absolute fall of clean validation accuracy that is allowed."""
    val_share: Share = 0.2


PRESETS = {"authors": Hyper()}


@defense(
    paper="UNIT: Backdoor Mitigation via Automated Neural Distribution Tightening, "
    "arXiv 2407.11372",
    year=2024,
    family="pruning",
    version=2,
    display_name="UNIT",
    least_spc=2,
    varied=("deviations", "tolerance", "lr"),
)
def unit(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> Defended:
    """Lower the caps; return the network with the best ones."""
    train, val = hold_out(budget, hyper.val_share, ctx)
    least = accuracy(model, val) - hyper.tolerance
    images = train.augment(train.images, ctx.generator)
    caps = initial_caps(model, images, hyper.deviations)
    capped, flat = with_caps(model, caps), [cap for site in caps.values() for cap in site]
    optimiser = torch.optim.Adam(flat, hyper.lr, betas=(0.5, 0.9))
    cost, best, smallest = Cost(hyper), None, float("inf")
    for step in range(hyper.steps):
        set_gradients(flat, _gradients(capped, (images, train.labels), flat, cost.value))
        optimiser.step()
        size, val_acc = total(flat).item(), accuracy(capped, val)
        if val_acc >= least and size < smallest:
            best, smallest = [cap.detach().clone() for cap in flat], size
        ctx.log(step, caps=size, val_acc=val_acc, cost=cost.value)
        cost.update(good=val_acc >= least)
    with torch.no_grad():
        for cap, kept in zip(flat, best or flat, strict=True):
            cap.copy_(kept.clamp_min(0))
    for cap in flat:
        cap.requires_grad_(False)
    return Defended(capped, notes={} if best else {"caps": "none kept validation accuracy"})


class Cost:
    """The weight of the caps, which follows validation accuracy."""

    def __init__(self, hyper: Hyper) -> None:
        self.value = hyper.cost
        self._hyper, self._good, self._bad = hyper, 0, 0

    def update(self, *, good: bool) -> None:
        """Take the result of a step."""
        self._good, self._bad = (self._good + 1, 0) if good else (0, self._bad + 1)
        if self._good >= self._hyper.patience:
            low = self.value < self._hyper.cost
            self._good = int(low)  # the step that brings the cost back counts already
            self.value = self._hyper.cost if low else self.value * self._hyper.cost_factor
        elif self._bad >= self._hyper.patience:
            self._bad = 0
            self.value /= self._hyper.cost_factor**1.5


@torch.no_grad()
def initial_caps(model: nn.Module, images: torch.Tensor, deviations: float) -> Caps:
    """Return mean + ``deviations`` standard deviations of every activation, as leaves."""
    sums: dict[tuple[str, int], torch.Tensor] = {}
    squares: dict[tuple[str, int], torch.Tensor] = {}
    for chunk in images.split(CHUNK):
        for name, site in activations(model, chunk).items():
            for key, x in zip(((name, i) for i in range(len(site))), site, strict=True):
                sums[key] = sums.get(key, 0) + x.double().sum(0)
                squares[key] = squares.get(key, 0) + x.double().square().sum(0)
    caps, n = defaultdict(list), len(images)
    for (name, i), values in sums.items():
        mean = values / n
        variance = (squares[name, i] / n - mean**2).clamp_min(0) * n / max(1, n - 1)
        caps[name].append((mean + deviations * variance.sqrt()).float().requires_grad_())
    return dict(caps)


def total(caps: list[torch.Tensor]) -> torch.Tensor:
    """Return the sum over layers of the mean cap."""
    return torch.stack([cap.relu().mean() for cap in caps]).sum()


def _gradients(
    capped: nn.Module,
    samples: tuple[torch.Tensor, torch.Tensor],
    caps: list[torch.Tensor],
    cost: float,
) -> list[torch.Tensor]:
    """Return the gradients of the mean cross-entropy of all samples + cost * size of the caps."""
    images, labels = samples
    gradients = list(torch.autograd.grad(cost * total(caps), caps))
    for x, y in zip(images.split(CHUNK), labels.split(CHUNK), strict=True):
        loss = F.cross_entropy(capped(x), y, reduction="sum") / len(labels)
        parts = torch.autograd.grad(loss, caps)
        gradients = [g + part for g, part in zip(gradients, parts, strict=True)]
    return gradients
