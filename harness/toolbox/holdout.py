"""Validation data, taken out of the clean budget and never in addition to it."""

from __future__ import annotations

import torch
from torch import nn

from harness.contract import Budget, Context

CHUNK = 500
"""Images per forward pass."""


def hold_out(budget: Budget, fraction: float, ctx: Context) -> tuple[Budget, Budget]:
    """Split a budget into training and validation samples, class by class.

    Of the n samples of a class max(1, int(n * fraction)) are for validation; so at a fraction of
    0.1, SPC 2 is 1 + 1, SPC 10 is 9 + 1 and SPC 100 is 90 + 10. (The IMS authors' benchmark adds a
    sample where a class has too few; here SPC k means k images, whatever the method does with
    them.) Where images come in groups of near copies, a group goes to one side as a whole, and
    the number of validation samples is met as nearly as whole groups allow; a class of one group is
    split within it.

    Returns:
        training and validation samples.

    Raises:
        ValueError: a class has fewer than two samples.
    """
    training, validating = [], []
    labels = budget.labels.cpu()
    for label in range(budget.classes):
        indices = (labels == label).nonzero()[:, 0]
        if len(indices) < 2:
            raise ValueError(
                f"class {label} has {len(indices)} clean images; two are needed to hold one out"
            )
        indices = indices[torch.randperm(len(indices), generator=ctx.generator)]
        count = max(1, int(len(indices) * fraction))
        if budget.groups is not None:
            indices, count = _whole_groups_first(indices, budget.groups.cpu()[indices], count)
        validating.append(indices[:count])
        training.append(indices[count:])
    device = budget.labels.device
    return budget.subset(torch.cat(training).to(device)), budget.subset(
        torch.cat(validating).to(device)
    )


def _whole_groups_first(
    indices: torch.Tensor, groups: torch.Tensor, count: int
) -> tuple[torch.Tensor, int]:
    """Reorder samples so that whole groups come first, of at most ``count`` samples together.

    Where the smallest group is larger, it comes first alone. Also return the number of the samples
    in these groups.
    """
    numbers, sizes = groups.unique(return_counts=True)
    if len(numbers) == 1:
        return indices, count
    size = dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    order = list(dict.fromkeys(groups.tolist()))  # random, as the samples are
    chosen: list[int] = []
    for group in order:
        if sum(size[x] for x in chosen) + size[group] <= count:
            chosen.append(group)
    chosen = chosen or [min(order, key=lambda group: size[group])]
    first = torch.isin(groups, torch.tensor(chosen))
    return torch.cat([indices[first], indices[~first]]), int(first.sum())


@torch.no_grad()
def accuracy(model: nn.Module, budget: Budget) -> float:
    """Return the accuracy (share) of a model in eval mode on clean samples."""
    model.eval()
    chunks = zip(budget.images.split(CHUNK), budget.labels.split(CHUNK), strict=True)
    return sum(int((model(x).argmax(1) == y).sum()) for x, y in chunks) / len(budget)
