"""A blend: an image mixed into the whole image. The model was trained elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.contract import Context, Goal, Poison, Share, TrainingSet, attack, trigger_only
from harness.toolbox.image_files import read_image
from harness.toolbox.poisoning.data_poisoning import blend as mixed


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The image, and how strongly it is mixed in."""

    image: Path
    """An image file, resized to the data set's images."""
    alpha: Share = 0.2
    """Its weight; the image keeps 1 - alpha."""


@attack(trigger=mixed, paper="", year=0, version=1, all_to_all=True)
def blend(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Make the trigger; nothing is poisoned."""
    pattern = read_image(hyper.image, train.images.shape[1:]).to(ctx.device)
    return trigger_only(
        train, {"pattern": pattern, "alpha": torch.tensor([hyper.alpha], device=ctx.device)}
    )
