"""No attack: a clean model, the reference of the gate and of what a defense costs where nothing is to remove.

Its trigger changes nothing. Its own ASR is therefore the share of clean test images outside class 0
that it takes for class 0; a study scores it with the triggers of its other attacks besides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness.contract import Context, Goal, Poison, TrainingSet, attack, trigger_only

if TYPE_CHECKING:
    from harness.contract import NoHyper


def stamp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return the images as they are."""
    return images


@attack(trigger=stamp, paper="", year=0, version=1, display_name="No attack")
def none(train: TrainingSet, goal: Goal, hyper: NoHyper, ctx: Context) -> Poison:
    """Leave the training set as it is."""
    return trigger_only(train, {})
