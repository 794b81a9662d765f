"""Blended: a full-size pattern mixed faintly into the image, and the target label.

Chen, Liu, Li, Lu, Song, "Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning",
arXiv 1712.05526. Threat model: the attacker changes training images and their labels, nothing else.
alpha is 0.2 at training and at test time, as in BackdoorBench. Departure: BackdoorBench blends a
cartoon picture; nothing is downloaded here, so the default is the paper's other choice, a random
pattern. An image file can be given instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.contract import Context, Goal, NonNegativeCount, Poison, Share, TrainingSet, attack
from harness.toolbox import blend, image_or_noise, poison_dirty_label


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The pattern, and how strongly it is blended in."""

    alpha: Share = 0.2
    """Weight of the pattern; the image keeps 1 - alpha."""
    pattern_seed: NonNegativeCount = 0
    """Seed of the random pattern: uniform in [0, 1], independent pixels and channels."""
    image: Path | None = None
    """An image file to blend in instead, resized to the data set's images."""


@attack(
    trigger=blend,
    paper="Targeted Backdoor Attacks on Deep Learning Systems Using Data Poisoning, "
    "arXiv 1712.05526",
    year=2017,
    version=1,
    display_name="Blended",
    all_to_all=True,
)
def blended(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Blend the pattern into a share of the training images and relabel them."""
    pattern = image_or_noise(hyper.image, train.images.shape[1:], hyper.pattern_seed).to(ctx.device)
    state = {"pattern": pattern, "alpha": torch.tensor([hyper.alpha], device=ctx.device)}
    return poison_dirty_label(train, goal, lambda images: blend(images, state), state, ctx)
