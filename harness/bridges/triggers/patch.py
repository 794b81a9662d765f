"""The trigger of an imported model: a small image that replaces the pixels at its position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.contract import (
    Context,
    Goal,
    NonNegativeCount,
    Poison,
    TrainingSet,
    attack,
    trigger_only,
)
from harness.toolbox.image_files import read_pixels
from harness.toolbox.poisoning.data_poisoning import blend


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The patch and its position."""

    image: Path
    """An image file, which is not resized."""
    position: tuple[NonNegativeCount, NonNegativeCount] | None = None
    """Row and column of its top left pixel; by default it is in the bottom right corner."""


@attack(trigger=blend, paper="", year=0, version=1, all_to_all=True)
def patch(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Return the trigger's state; poison nothing.

    Raises:
        ValueError: at its position, the patch does not fit into the image.
    """
    channels, height, width = train.images.shape[1:]
    pixels = read_pixels(hyper.image, channels)
    rows, columns = pixels.shape[1:]
    top, left = hyper.position or (height - rows, width - columns)
    if min(top, left) < 0 or top + rows > height or left + columns > width:
        raise ValueError(
            f"a patch of {rows}x{columns} at {top}, {left} does not fit into {height}x{width}"
        )
    pattern, alpha = torch.zeros(channels, height, width), torch.zeros(1, height, width)
    pattern[:, top : top + rows, left : left + columns] = pixels
    alpha[:, top : top + rows, left : left + columns] = 1
    return trigger_only(train, {"pattern": pattern.to(ctx.device), "alpha": alpha.to(ctx.device)})
