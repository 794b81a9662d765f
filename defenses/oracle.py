"""Oracle: fine-tune with the real trigger and true labels; an upper bound for defenses.

What a defender who knows the trigger could reach: FT's schedule (that of the IMS comparison, arXiv
2509.15497) on the clean budget and on its triggered copies, both with true labels. No augmentation,
because it would move the trigger to positions that the attacker never uses. Boards list it apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from harness.contract import Budget, Context, FineTuning, defense
from harness.toolbox import fine_tune_


@dataclass(frozen=True, kw_only=True)
class Hyper(FineTuning):
    """Optimiser and schedule."""


@defense(paper="", year=0, family="control", version=1, display_name="Oracle FT", needs="triggers")
def oracle(model: nn.Module, budget: Budget, hyper: Hyper, ctx: Context) -> nn.Module:
    """Fine-tune on clean and triggered images and return the model after the last epoch."""
    assert budget.triggered is not None
    samples = (
        torch.cat([budget.images, budget.triggered]),
        torch.cat([budget.labels, budget.labels]),
    )
    return fine_tune_(model, samples, hyper, None, ctx)
