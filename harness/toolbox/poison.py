"""Dirty-label poisoning with a fixed trigger, as most attacks do it."""

from __future__ import annotations

import torch

from harness.contract import Context, Goal, Poison, TrainingSet
from harness.predict import Stamp, stamped


def dirty_label(
    train: TrainingSet, goal: Goal, stamp: Stamp, state: dict[str, torch.Tensor], ctx: Context
) -> Poison:
    """Stamp a uniform draw of training images and relabel them.

    The draw is over all classes, the target included, and the rate is a share of all training images: the
    rule of BackdoorBench (arXiv 2206.12654). ``stamp`` maps float images in [0, 1] to the same.
    """
    chosen = torch.randperm(len(train.labels), generator=ctx.generator)[: goal.count(len(train.labels))]
    chosen = chosen.sort().values.to(train.labels.device)
    return Poison(
        indices=chosen,
        images=stamped(train.images[chosen], stamp),
        labels=goal.labels(train.labels[chosen]),
        state=state,
    )
