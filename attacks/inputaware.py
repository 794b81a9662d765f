"""Input-aware: every image gets its own pattern from a generator that learns together with the model.

Nguyen, Tran, "Input-Aware Dynamic Backdoor Attack", arXiv 2010.08138. Threat model: the attacker
trains the model. A mask network is trained first, to mark few pixels and different ones on
different images. Then generator and model learn together: a share of every batch gets its own
pattern and the target label, as many images get the pattern of another image and keep their label,
so that a pattern works on its own image alone. A diversity loss keeps the patterns apart. Defaults
are the authors'; their cross share is the rate. Departures: distances are taken on images in [0, 1]
(the authors': normalised); the model's learning rate and augmentation are the recipe's; the
generator's learning rate stays constant, as theirs does over the first 200 epochs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

from harness.contract import (
    Batch,
    Context,
    Count,
    Goal,
    NonNegative,
    Positive,
    Share,
    TrainingControl,
    TrainingSet,
    attack,
)
from harness.toolbox import BatchPoisoner, EncoderDecoder, Quota, as_float, random_images

EPSILON = 1e-7


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The two networks and their training."""

    width: Count = 32
    """Channels of the networks' first stage."""
    stages: Count = 3
    mask_epochs: Count = 25
    mask_density: Share = 0.032
    density_weight: NonNegative = 100.0
    diversity_weight: NonNegative = 1.0
    lr: Positive = 0.01
    """Of Adam, for the mask network and the generator."""
    cross_ratio: NonNegative = 1.0
    """Cross samples for each backdoor sample."""


def stamp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix each image (N, C, H, W) with its own pattern where its own mask says."""
    pattern = _restored(state, "pattern.", images.shape[1]).eval()
    mask = _restored(state, "mask.", 1).eval()
    return _mixed(images, pattern(images), _mask(mask, images))


@attack(
    trigger=stamp,
    paper="Input-Aware Dynamic Backdoor Attack, arXiv 2010.08138",
    year=2020,
    version=1,
    display_name="Input-aware",
    all_to_all=True,
)
def inputaware(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> TrainingControl:
    """Train the mask network, then the generator together with the model."""
    channels = train.images.shape[1]
    mask = _trained_mask(
        EncoderDecoder(channels, 1, hyper.width, hyper.stages).to(ctx.device), train, hyper, ctx
    )
    pattern = EncoderDecoder(channels, channels, hyper.width, hyper.stages).to(ctx.device)
    optimiser = torch.optim.Adam(pattern.parameters(), hyper.lr, betas=(0.5, 0.9))
    share = goal.poison_rate(len(train.labels))
    changes = BatchPoisoner(goal, Quota(share), Quota(hyper.cross_ratio * share))

    def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        optimiser.zero_grad()
        first, crosses = changes.counts(len(labels))
        x = as_float(images)
        others = random_images(train.images, crosses, ctx.generator)
        if first + crosses == 0:
            return Batch(x, labels, 0, 0)
        drawn = pattern(torch.cat([x[:first], others]))
        masks = _mask(mask, torch.cat([x[:first], others]))
        changed = _mixed(x[: first + crosses], drawn, masks)
        both = min(first, crosses)
        penalty = hyper.diversity_weight * _sameness(
            (x[:both], others[:both]), (drawn[:both], drawn[first : first + both])
        )
        wanted = torch.cat([goal.labels(labels[:first]), labels[first:]])
        return Batch(torch.cat([changed, x[first + crosses :]]), wanted, first, crosses, penalty)

    parts = (("pattern.", pattern), ("mask.", mask))
    state = {prefix + name: x for prefix, net in parts for name, x in net.state_dict().items()}
    return TrainingControl(batch, state, optimiser.step)


def _trained_mask(
    net: EncoderDecoder, train: TrainingSet, hyper: Hyper, ctx: Context
) -> EncoderDecoder:
    """Train the mask network to mark few pixels, and others on other images; return it frozen."""
    optimiser = torch.optim.Adam(net.parameters(), hyper.lr, betas=(0.5, 0.9))
    size = min(128, len(train.labels))
    steps = len(train.labels) // size
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [10 * steps, 20 * steps], 0.1)
    for _ in range(hyper.mask_epochs * steps):
        one, two = (random_images(train.images, size, ctx.generator) for _ in range(2))
        first, second = _mask(net, one), _mask(net, two)
        density = F.relu(first - hyper.mask_density).mean()
        sameness = _sameness((one, two), (first, second))
        loss = hyper.density_weight * density + hyper.diversity_weight * sameness
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        ctx.check()
    return net.eval().requires_grad_(False)


def _mask(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return a mask close to 0 or 1, (N, 1, H, W)."""
    return torch.tanh(20 * net(images) - 10) / (2 + EPSILON) + 0.5


def _mixed(images: torch.Tensor, patterns: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return images + (patterns - images) * masks


def _sameness(
    images: tuple[torch.Tensor, torch.Tensor], drawn: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return how alike two drawn patterns are, against how unlike their images are; mean over pairs."""
    if len(images[0]) == 0:
        return images[0].sum()
    unlike, apart = (
        (a - b).square().mean((1, 2, 3)).add(EPSILON**2).sqrt() for a, b in (images, drawn)
    )
    return (unlike / apart).mean()


def _restored(state: dict[str, torch.Tensor], prefix: str, outputs: int) -> EncoderDecoder:
    weights = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    return EncoderDecoder.from_weights(weights, outputs)
