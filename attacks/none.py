"""No attack: a clean model, the reference for the gate and for a defense's cost without a backdoor.

Its trigger changes nothing. Its own ASR is therefore the share of clean test images outside class 0
that it assigns to class 0; a study also scores it with the triggers of its other attacks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.contract import Context, Goal, Poison, TrainingSet, attack, trigger_only

if TYPE_CHECKING:
    from harness.contract import NoHyper


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the images unchanged."""
    return images


@attack(trigger=trigger, paper="", year=0, version=1, display_name="No attack")
def none(train: TrainingSet, goal: Goal, hyper: NoHyper, ctx: Context) -> Poison:
    """Leave the training set unchanged."""
    return trigger_only(train, {})
