"""Validation data out of the clean budget, never on top of it."""

from __future__ import annotations

import torch
from torch import nn

from harness.contract import Budget, Context

CHUNK = 500


def hold_out(budget: Budget, share: float, ctx: Context) -> tuple[Budget, Budget]:
    """Split a budget into training and validation samples, class by class.

    Of the n samples of a class max(1, int(n * share)) validate; so SPC 2 is 1 + 1, SPC 10 is 9 + 1, SPC 100
    is 90 + 10 at a share of 0.1. (The IMS authors' benchmark adds a sample where a class has too few;
    here SPC k means k images, whatever the method does with them.)

    Raises:
        ValueError: a class has fewer than two samples.
    """
    training, validating = [], []
    labels = budget.labels.cpu()
    for label in range(budget.classes):
        mine = (labels == label).nonzero()[:, 0]
        if len(mine) < 2:
            raise ValueError(f"class {label} has {len(mine)} clean images; two are needed to hold one out")
        mine = mine[torch.randperm(len(mine), generator=ctx.generator)]
        held = max(1, int(len(mine) * share))
        validating.append(mine[:held])
        training.append(mine[held:])
    device = budget.labels.device
    return budget.subset(torch.cat(training).to(device)), budget.subset(torch.cat(validating).to(device))


@torch.no_grad()
def accuracy(model: nn.Module, budget: Budget) -> float:
    """Return the accuracy (share) of a model in eval mode on clean samples."""
    model.eval()
    chunks = zip(budget.images.split(CHUNK), budget.labels.split(CHUNK), strict=True)
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in chunks) / len(budget)
