"""Frame: a bright border, and the target label.

Threat model: ... Formula: ... Settings: ...
"""

from dataclasses import dataclass

import torch

from harness.contract import Context, Goal, Poison, Share, TrainingSet, attack
from harness.toolbox import poison_dirty_label


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The hyperparameters: a study sets them by name, types and ranges are checked at once."""

    value: Share = 1.0
    """Brightness of the border."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return triggered images: float (N, C, H, W) in [0, 1]. A pure function of its arguments."""
    return torch.where(state["mask"] > 0, state["value"], images)


@attack(trigger=trigger, paper="ours, in preparation", year=2026)
def my_attack(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Trigger some training images and relabel them; ``state`` is saved with the victim."""
    mask = torch.ones(train.images.shape[2:], device=ctx.device)
    mask[1:-1, 1:-1] = 0
    state = {"mask": mask, "value": torch.tensor([hyper.value], device=ctx.device)}
    return poison_dirty_label(train, goal, lambda images: trigger(images, state), state, ctx)
