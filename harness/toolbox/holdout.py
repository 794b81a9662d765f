"""Validation data out of the clean budget, never on top of it."""

from __future__ import annotations

import torch
from torch import nn

from harness.contract import Budget, Context

CHUNK = 500


def hold_out(budget: Budget, share: float, ctx: Context) -> tuple[Budget, Budget]:
    """Split a budget into training and validation samples, class by class.

    Of the n samples of a class max(1, int(n * share)) validate; so SPC 2 is 1 + 1, SPC 10 is 9 + 1,
    SPC 100 is 90 + 10 at a share of 0.1. (The IMS authors' benchmark adds a sample where a class
    has too few; here SPC k means k images, whatever the method does with them.) Where images come
    in groups of near copies, a group goes to one side as a whole, and the count is met as nearly as
    groups allow; a class of one group is split through it.

    Raises:
        ValueError: a class has fewer than two samples.
    """
    training, validating = [], []
    labels = budget.labels.cpu()
    for label in range(budget.classes):
        mine = (labels == label).nonzero()[:, 0]
        if len(mine) < 2:
            raise ValueError(
                f"class {label} has {len(mine)} clean images; two are needed to hold one out"
            )
        mine = mine[torch.randperm(len(mine), generator=ctx.generator)]
        held = max(1, int(len(mine) * share))
        if budget.groups is not None:
            mine, held = _together(mine, budget.groups.cpu()[mine], held)
        validating.append(mine[:held])
        training.append(mine[held:])
    device = budget.labels.device
    return budget.subset(torch.cat(training).to(device)), budget.subset(
        torch.cat(validating).to(device)
    )


def _together(mine: torch.Tensor, groups: torch.Tensor, held: int) -> tuple[torch.Tensor, int]:
    """Reorder samples so that whole groups come first, about ``held`` samples; return how many they are."""
    numbers, sizes = groups.unique(return_counts=True)
    if len(numbers) == 1:
        return mine, held
    size = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    order = list(dict.fromkeys(groups.tolist()))  # of the random draw
    chosen: list[int] = []
    for group in order:
        if sum(size[x] for x in chosen) + size[group] <= held:
            chosen.append(group)
    chosen = chosen or [min(order, key=lambda group: size[group])]
    first = torch.isin(groups, torch.tensor(chosen))
    return torch.cat([mine[first], mine[~first]]), int(first.sum())


@torch.no_grad()
def accuracy(model: nn.Module, budget: Budget) -> float:
    """Return the accuracy (share) of a model in eval mode on clean samples."""
    model.eval()
    chunks = zip(budget.images.split(CHUNK), budget.labels.split(CHUNK), strict=True)
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in chunks) / len(budget)
