"""Input-aware: every image gets its own pattern from a generator trained together with the model.

Nguyen, Tran, "Input-Aware Dynamic Backdoor Attack", arXiv 2010.08138. Threat model: the attacker
trains the model. A mask network is trained first, to mark few pixels, and different ones on
different images. Then generator and model are trained together: a share of every batch gets its own
pattern and the target label; the same number of images get the pattern of another image and keep
their label (cross samples), so that a pattern works on its own image alone. A diversity loss keeps
the patterns different. Defaults are the authors'; their share of cross samples is the poison rate.
Departures: distances are between images in [0, 1] (the authors': normalised); the model's learning
rate and augmentation are the recipe's; the generator's learning rate stays constant, as theirs does
over the first 200 epochs.
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
"""Keeps divisions finite."""


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The two networks and their training."""

    width: Count = 32
    """Channels of the networks' first stage."""
    stages: Count = 3
    mask_epochs: Count = 25
    mask_density: Share = 0.032
    """Share of marked pixels above which a mask is penalised."""
    density_weight: NonNegative = 100.0
    diversity_weight: NonNegative = 1.0
    lr: Positive = 0.01
    """Learning rate of Adam, for the mask network and the generator."""
    cross_ratio: NonNegative = 1.0
    """Cross samples for each backdoor sample."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Mix each image (N, C, H, W) with its own pattern under its own mask."""
    pattern = _load_network(state, "pattern.", images.shape[1]).eval()
    mask = _load_network(state, "mask.", 1).eval()
    return _mix(images, pattern(images), _mask(mask, images))


@attack(
    trigger=trigger,
    paper="Input-Aware Dynamic Backdoor Attack, arXiv 2010.08138",
    year=2020,
    version=1,
    display_name="Input-aware",
    all_to_all=True,
)
def inputaware(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> TrainingControl:
    """Train the mask network, then the generator together with the model."""
    channels = train.images.shape[1]
    mask = _train_mask_network(
        EncoderDecoder(channels, 1, hyper.width, hyper.stages).to(ctx.device), train, hyper, ctx
    )
    pattern = EncoderDecoder(channels, channels, hyper.width, hyper.stages).to(ctx.device)
    optimiser = torch.optim.Adam(pattern.parameters(), hyper.lr, betas=(0.5, 0.9))
    rate = goal.poison_rate(len(train.labels))
    poisoner = BatchPoisoner(goal, Quota(rate), Quota(hyper.cross_ratio * rate))

    def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        optimiser.zero_grad()
        first, crosses = poisoner.counts(len(labels))
        x = as_float(images)
        others = random_images(train.images, crosses, ctx.generator)
        if first + crosses == 0:
            return Batch(x, labels, 0, 0)
        patterns = pattern(torch.cat([x[:first], others]))
        masks = _mask(mask, torch.cat([x[:first], others]))
        changed = _mix(x[: first + crosses], patterns, masks)
        pairs = min(first, crosses)
        penalty = hyper.diversity_weight * _similarity(
            (x[:pairs], others[:pairs]), (patterns[:pairs], patterns[first : first + pairs])
        )
        new_labels = torch.cat([goal.labels(labels[:first]), labels[first:]])
        return Batch(
            torch.cat([changed, x[first + crosses :]]), new_labels, first, crosses, penalty
        )

    networks = (("pattern.", pattern), ("mask.", mask))
    state = {prefix + name: x for prefix, net in networks for name, x in net.state_dict().items()}
    return TrainingControl(batch, state, optimiser.step)


def _train_mask_network(
    net: EncoderDecoder, train: TrainingSet, hyper: Hyper, ctx: Context
) -> EncoderDecoder:
    """Train the mask network to mark few pixels, different ones per image; return it frozen."""
    optimiser = torch.optim.Adam(net.parameters(), hyper.lr, betas=(0.5, 0.9))
    size = min(128, len(train.labels))
    steps = len(train.labels) // size
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimiser, [10 * steps, 20 * steps], 0.1)
    for _ in range(hyper.mask_epochs * steps):
        one, two = (random_images(train.images, size, ctx.generator) for _ in range(2))
        first, second = _mask(net, one), _mask(net, two)
        density = F.relu(first - hyper.mask_density).mean()
        similarity = _similarity((one, two), (first, second))
        loss = hyper.density_weight * density + hyper.diversity_weight * similarity
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        ctx.check()
    return net.eval().requires_grad_(False)


def _mask(net: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Return a mask close to 0 or 1, (N, 1, H, W)."""
    return torch.tanh(20 * net(images) - 10) / (2 + EPSILON) + 0.5


def _mix(images: torch.Tensor, patterns: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    return images + (patterns - images) * masks


def _similarity(
    images: tuple[torch.Tensor, torch.Tensor], patterns: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """Return the distance of two images over the distance of their patterns, mean over pairs."""
    if len(images[0]) == 0:
        return images[0].sum()
    between_images, between_patterns = (
        (a - b).square().mean((1, 2, 3)).add(EPSILON**2).sqrt() for a, b in (images, patterns)
    )
    return (between_images / between_patterns).mean()


def _load_network(state: dict[str, torch.Tensor], prefix: str, outputs: int) -> EncoderDecoder:
    weights = {name.removeprefix(prefix): x for name, x in state.items() if name.startswith(prefix)}
    return EncoderDecoder.from_weights(weights, outputs)
