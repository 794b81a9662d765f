"""Shrink: pull every weight a little towards zero, then fine-tune.

Threat model: ... Formula: ... Settings: ...
"""

from dataclasses import dataclass

import torch

from harness.contract import Budget, Context, Count, Recipe, Share, defense
from harness.toolbox import fit


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The hyperparameters: a study sets them by name, types and ranges are checked at once."""

    keep: Share = 0.9
    """The factor on every weight."""
    epochs: Count = 20


# version="1" is yours to raise when the method's numbers change; without it, every change of this
# file, or of a file that it imports from this folder, makes its cells run again.
@defense(paper="ours, in preparation", year=2026, family="fine-tuning")
def my_defense(
    model: torch.nn.Module, budget: Budget, hyper: Hyper, ctx: Context
) -> torch.nn.Module:
    """Return the repaired model.

    ``model`` is a private copy of the victim in eval mode, for float images (N, C, H, W) in [0, 1].
    ``budget`` has the clean images, their labels and the augmentation, and nothing else is known.
    Random numbers come from ``ctx.generator``; ``ctx.log(step, name=number)`` goes to the record.
    """
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(hyper.keep)
    recipe = Recipe(epochs=hyper.epochs)
    return fit(model, (budget.images, budget.labels), recipe, budget.augment, ctx)
