"""The trigger of an imported model: an image, blended into the whole image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.contract import Context, Goal, Poison, Share, TrainingSet, attack, trigger_only
from harness.toolbox.image_files import read_image
from harness.toolbox.poisoning.data_poisoning import blend as blend_images


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The image and its weight."""

    image: Path
    """An image file, resized to the size of the data set's images."""
    alpha: Share = 0.2
    """The weight of the image; the original keeps 1 - alpha."""


@attack(trigger=blend_images, paper="", year=0, version=1, all_to_all=True)
def blend(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Return the trigger's state; poison nothing."""
    pattern = read_image(hyper.image, train.images.shape[1:]).to(ctx.device)
    return trigger_only(
        train, {"pattern": pattern, "alpha": torch.tensor([hyper.alpha], device=ctx.device)}
    )
