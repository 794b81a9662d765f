"""BppAttack: fewer grey levels are the trigger; other colour changes in training keep the label.

Wang, Zhai, Ma, "BppAttack: Stealthy and Efficient Trojan Attacks against Deep Neural Networks via
Image Quantization and Contrastive Adversarial Learning", arXiv 2205.13383. Threat model: the
attacker trains the model. In every batch a share of the images is quantised to 2^3 levels and
relabelled; another share gets the quantisation residual of some other training image added, and
keeps its label (negative samples). Defaults are those of BackdoorBench (8 levels, 10 % negatives).
Departures: no dithering, which is BackdoorBench's default (the paper dithers); no adversarial
samples; augmentation and learning rate are the recipe's.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from harness.contract import (
    Batch,
    Context,
    Goal,
    GreyLevels,
    Share,
    TrainingControl,
    TrainingSet,
    attack,
)
from harness.toolbox import BatchPoisoner, Quota, random_images


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The quantisation, and the share of negative samples."""

    levels: GreyLevels = 8
    negative_share: Share = 0.1
    """Share of all samples that carry the residual of another image and keep their own label."""


def quantise(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Round images (N, C, H, W) to ``levels`` (1,) evenly spaced values."""
    steps = state["levels"] - 1
    return (images * steps).round() / steps


@attack(
    trigger=quantise,
    paper="BppAttack: Stealthy and Efficient Trojan Attacks via Image Quantization, "
    "arXiv 2205.13383",
    year=2022,
    version=1,
    display_name="BPP",
    all_to_all=True,
)
def bpp(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> TrainingControl:
    """Quantise a share of every batch, and add residuals of other images to another share."""
    state = {"levels": torch.tensor([float(hyper.levels)], device=ctx.device)}
    poisoner = BatchPoisoner(
        goal, Quota(goal.poison_rate(len(train.labels))), Quota(hyper.negative_share)
    )

    def negative(images: torch.Tensor) -> torch.Tensor:
        others = random_images(train.images, len(images), ctx.generator)
        return (images + quantise(others, state) - others).clamp(0, 1)

    def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        return poisoner.batch(images, labels, lambda x: quantise(x, state), negative)

    return TrainingControl(batch, state)
