"""Adaptive-Blend: half a faint pattern in training, all of it at test time, and cover samples.

Qi, Xie, Li, Mahloujifar, Mittal, "Revisiting the Assumption of Latent Separability for Backdoor
Defenses", ICLR 2023 (arXiv 2205.13613). Threat model: the attacker changes training images and
their labels, nothing else. The pattern is cut into a grid of pieces; every poisoned sample gets its
own random half of them, more faintly than the whole pattern at test time (asymmetric trigger). The
same number of cover samples get such halves and keep their own label, so that backdoor and clean
samples are not separable in feature space. Defaults are the authors': 4x4 pieces, half of them,
alpha 0.15 in training and 0.2 at test time; their rate is 0.003, with the same rate of covers.
Departure: their pattern is a cartoon picture; nothing is downloaded here, so the default is a
random pattern, and a file can be given instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F

from harness.contract import (
    Context,
    Count,
    Goal,
    NonNegative,
    NonNegativeCount,
    Poison,
    Share,
    TrainingSet,
    attack,
)
from harness.toolbox import as_float, blend, image_or_noise, sample_indices, to_uint8


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The pattern, its pieces, its strength in training and at test time, and the covers."""

    alpha_train: Share = 0.15
    alpha_test: Share = 0.2
    pieces: Count = 4
    """Pieces per side."""
    kept: Share = 0.5
    """Share of the pieces that a training sample gets."""
    cover_ratio: NonNegative = 1.0
    """Cover samples for each poisoned one."""
    pattern_seed: NonNegativeCount = 0
    """Seed of the random pattern: uniform in [0, 1], independent pixels and channels."""
    image: Path | None = None
    """An image file to blend in instead, resized to the data set's images."""


@attack(
    trigger=blend,
    paper="Revisiting the Assumption of Latent Separability for Backdoor Defenses, "
    "arXiv 2205.13613",
    year=2023,
    version=1,
    display_name="Adaptive-Blend",
)
def adaptive_blend(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Blend pieces of the pattern into poisoned and cover samples; relabel the poisoned ones."""
    pattern = image_or_noise(hyper.image, train.images.shape[1:], hyper.pattern_seed).to(ctx.device)
    count = goal.count(len(train.labels))
    covers = round(hyper.cover_ratio * count)
    chosen = sample_indices(train.labels >= 0, count + covers, ctx)
    images = as_float(train.images[chosen])
    mask = _pieces(len(chosen), train.images.shape[2:], hyper, ctx)
    blended = images + hyper.alpha_train * mask * (pattern - images)
    labels = train.labels[chosen]
    return Poison(
        indices=chosen,
        images=to_uint8(blended),
        labels=torch.cat([goal.labels(labels[:count]), labels[count:]]),
        state={"pattern": pattern, "alpha": torch.tensor([hyper.alpha_test], device=ctx.device)},
        covers=covers,
    )


def _pieces(n: int, size: torch.Size, hyper: Hyper, ctx: Context) -> torch.Tensor:
    """Return which pixels of ``n`` samples get the pattern: (n, 1, H, W) of zeros and ones."""
    total = hyper.pieces**2
    order = torch.rand(n, total, generator=ctx.generator).argsort(1)
    selected = (order < round(hyper.kept * total)).float().view(n, 1, hyper.pieces, hyper.pieces)
    return F.interpolate(selected, size=tuple(size), mode="nearest").to(ctx.device)
