"""NPD (Neural Polarizer): one linear layer inside the frozen network that filters the trigger out.

Zhu, Wei, Zha, Wu, "Neural Polarizer: A Lightweight and Effective Backdoor Defense via Purifying
Poisoned Features", arXiv 2306.16697. Threat model: clean samples only.

A 1x1 convolution, the identity at first, and a batch norm go in front of the first convolution of
the last block; all else is fixed. After 5 epochs on CE at lr 1e-4 they are trained for 50 epochs on
CE(x) + 0.4 [CE(x', prediction for x) - log(1.0001 - p(likeliest wrong class | x')) - log(1.0001 -
p(t | x'))], where t is the likeliest wrong class of x, and x' the image after up to two sign steps
of 0.1 towards t within an L2 ball of 3, clipped to [0, 1]; the steps end once 60 % are given t. The
settings are those of BackdoorBench (SCLBD/BackdoorBench at f02e3534) for 2,500 clean images of
CIFAR-10: SGD lr 0.01, momentum 0.9, weight decay 5e-4, constant, batch 128, no augmentation; the
batch norm moves in the first 5 epochs alone. Departures: the batch norm starts with the statistics
of the budget and undoes itself, so that the network is unchanged at first (theirs starts at mean 0
and variance 1, far from what passes through); on networks other than PreActResNet18 the place is
ours. The result is a network with the layer in it.

Preset ``authors``: their start of the batch norm.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Budget,
    Context,
    Count,
    NonNegative,
    NonNegativeCount,
    Positive,
    Share,
    defense,
)
from harness.toolbox import Loop, batches, clip_pixels, convolutions, set_gradients, train_epochs

SHORTCUTS = ("shortcut", "downsample")
LEAST = 1e-4
"""What keeps -log(1 + LEAST - p) finite."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The layer's training, and the search for perturbed images."""

    warm_up_epochs: NonNegativeCount = 5
    warm_up_lr: Positive = 1e-4
    epochs: Count = 50
    lr: Positive = 0.01
    momentum: Share = 0.9
    weight_decay: NonNegative = 5e-4
    batch: Count = 128
    weight: NonNegative = 0.4
    """Weight of each of the three losses of perturbed images."""
    step: Positive = 0.1
    """Size of a sign step, of a pixel value in [0, 1]."""
    steps: Count = 2
    radius: Positive = 3
    """Largest L2 norm of an image's perturbation."""
    enough: Share = 0.6
    """Share of a batch that is given the other class at which the search ends."""
    authors_start: bool = False
    """Whether the batch norm starts at mean 0 and variance 1, which changes the network."""


PRESETS = {"authors": Hyper(authors_start=True)}


class Polarized(nn.Module):
    """A convolution behind a 1x1 convolution and a batch norm: same shapes as the convolution."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        width = layer.in_channels
        self.linear = nn.Conv2d(width, width, 1, bias=False)
        nn.init.dirac_(self.linear.weight)
        self.norm = nn.BatchNorm2d(width)
        self.layer = layer

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the convolution's output of filtered maps."""
        out: torch.Tensor = self.layer(self.norm(self.linear(x)))
        return out

    def filter_weights(self) -> list[nn.Parameter]:
        """Return what is trained."""
        return [*self.linear.parameters(), *self.norm.parameters()]


@defense(
    paper="Neural Polarizer: A Lightweight and Effective Backdoor Defense via Purifying Poisoned "
    "Features, arXiv 2306.16697",
    year=2023,
    family="fine-tuning",
    version=3,
    display_name="NPD",
    requires="convolutions",
    varied=("weight", "radius", "lr"),
)
def npd(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Insert the layer, train it alone, and return the network after the last epoch."""
    plug = insert_polarizer(model.eval())
    weights = plug.filter_weights()
    if not hyper.authors_start:
        undo_norm_(model, plug, budget, hyper.batch, ctx)

    def warm_up_step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = F.cross_entropy(model(x), y)
        set_gradients(weights, torch.autograd.grad(loss, weights))
        return loss

    def step(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = polarizer_loss(model, x, y, hyper)
        set_gradients(weights, torch.autograd.grad(loss, weights))
        return loss

    if hyper.warm_up_epochs:
        plug.norm.train()
        optimiser = torch.optim.SGD(weights, hyper.warm_up_lr)
        loop = Loop(hyper.warm_up_epochs, hyper.batch, augment=False)
        train_epochs(budget, warm_up_step, optimiser, loop, ctx)
        plug.norm.eval()
    optimiser = torch.optim.SGD(weights, hyper.lr, hyper.momentum, weight_decay=hyper.weight_decay)
    train_epochs(budget, step, optimiser, Loop(hyper.epochs, hyper.batch, augment=False), ctx)
    return model.eval()


def insert_polarizer(model: nn.Module) -> Polarized:
    """Put the layer in front of the first convolution of the last block, and return it.

    The block is what holds the network's last convolution, shortcuts aside; in a plain sequence of
    layers it is that convolution alone.
    """
    names = [name for name in convolutions(model) if not any(word in name for word in SHORTCUTS)]
    parent, _, _ = names[-1].rpartition(".")
    block = model.get_submodule(parent)
    siblings = [name for name in names if name.rpartition(".")[0] == parent]
    name = names[-1] if isinstance(block, nn.Sequential) else siblings[0]
    layer = model.get_submodule(name)
    assert isinstance(layer, nn.Conv2d)
    plug = Polarized(layer).to(layer.weight.device).eval()
    setattr(block, name.rpartition(".")[2], plug)
    return plug


@torch.no_grad()
def undo_norm_(model: nn.Module, plug: Polarized, budget: Budget, batch: int, ctx: Context) -> None:
    """Give the layer's norm the statistics of the budget, and the scale and shift that undo it."""
    seen: list[torch.Tensor] = []
    hook = plug.norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    for x, _ in batches(budget, batch, ctx, augment=False):
        model(x)
    hook.remove()
    norm, values = plug.norm, torch.cat(seen).float()
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.copy_(values.mean((0, 2, 3)))
    norm.running_var.copy_(values.var((0, 2, 3), unbiased=False))
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean)


def polarizer_loss(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, hyper: Hyper
) -> torch.Tensor:
    """Return the loss of images (n, C, H, W) with labels (n,)."""
    logits = model(x).float()  # in bf16 the smallest 1 + LEAST - p would be 0
    other = likeliest_wrong_class(logits, y)
    shifted = model(towards(model, x, other, hyper)).float()
    p = shifted.softmax(1)
    losses = [
        F.cross_entropy(shifted, logits.argmax(1)),
        *(
            -(1 + LEAST - p.gather(1, label[:, None])).log().mean()
            for label in (likeliest_wrong_class(shifted, y), other)
        ),
    ]
    return F.cross_entropy(logits, y) + hyper.weight * torch.stack(losses).sum()


def likeliest_wrong_class(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the class with the largest logit other than the true one, (n,)."""
    return logits.scatter(1, y[:, None], -torch.inf).argmax(1)


def towards(model: nn.Module, x: torch.Tensor, label: torch.Tensor, hyper: Hyper) -> torch.Tensor:
    """Return images in [0, 1] within the ball around ``x`` that the model gives ``label`` more."""
    delta = torch.zeros_like(x)
    for _ in range(hyper.steps):
        delta.requires_grad_()
        logits = model(clip_pixels(x + delta))
        if (logits.argmax(1) == label).float().mean() > hyper.enough:
            break
        (slope,) = torch.autograd.grad(F.cross_entropy(logits, label), delta)
        delta = delta.detach() - hyper.step * slope.sign()
        norms = delta.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        delta = delta * (hyper.radius / norms.clamp_min(hyper.radius))
    return (x + delta.detach()).clamp(0, 1)
