"""One step of fine-tuning; a control.

A defense that is no better than a single step of SGD on one clean batch (with FT's settings: lr
0.01, weight decay 5e-4, batch 256, training augmentation) has shown nothing. Threat model: clean
samples only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Budget, Context, Count, FineTuning, defense
from harness.toolbox import fine_tune_


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """The settings of FT; ``epochs`` are passes over the one batch."""

    epochs: Count = 1


@defense(paper="", year=0, family="control", version=1, display_name="FT (one step)")
def ft_step(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Take one step and return the model."""
    chosen = torch.randperm(len(budget), generator=ctx.generator)[: hyper.batch].to(ctx.device)
    batch = (budget.images[chosen], budget.labels[chosen])
    return fine_tune_(model, batch, hyper, budget.augment, ctx)
