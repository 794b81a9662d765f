"""Budgets that are not clean: shifted images, triggered ones among them, wrong labels."""

from __future__ import annotations

import torch

from harness.contract import Goal, poison_count
from harness.data.shifts import shifted
from harness.plan.budget import BudgetSpec
from harness.toolbox.predict import TriggerFunction, as_float, to_uint8


def spoiled(
    samples: tuple[torch.Tensor, torch.Tensor],
    budget: BudgetSpec,
    goal: Goal,
    trigger: TriggerFunction,
    seed: int,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images (n, C, H, W) and labels (n,) with what a budget says is wrong with them.

    Images are rounded to 8 bits. Triggered images have the label that the attacker wants; a wrong
    label is any other than the true one. The same seed spoils the same samples.
    """
    images, labels = samples
    generator = torch.Generator().manual_seed(seed)
    if budget.shift is not None:
        images = as_float(to_uint8(shifted(images, budget.shift, generator)))
    if budget.triggered:
        attackable = (goal.labels(labels) != labels).nonzero()[:, 0]
        chosen = _drawn(attackable, poison_count(budget.triggered, len(labels)), generator)
        images, labels = images.clone(), labels.clone()
        images[chosen] = as_float(to_uint8(trigger(images[chosen])))
        labels[chosen] = goal.labels(labels[chosen])
    if budget.wrong_labels:
        count = poison_count(budget.wrong_labels, len(labels))
        chosen = _drawn(torch.arange(len(labels), device=labels.device), count, generator)
        shift = torch.randint(1, goal.classes, (len(chosen),), generator=generator)
        labels = labels.clone()
        labels[chosen] = (labels[chosen] + shift.to(labels.device)) % goal.classes
    return images, labels


def _drawn(indices: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    order = torch.randperm(len(indices), generator=generator)[:count]
    return indices[order.to(indices.device)]
