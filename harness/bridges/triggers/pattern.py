"""The trigger of an imported model: a pattern of the image's size, with a weight per pixel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.contract import Context, Goal, Poison, TrainingSet, attack, trigger_only
from harness.toolbox.image_files import read_image
from harness.toolbox.poisoning.data_poisoning import blend


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """Two image files, resized to the size of the data set's images."""

    image: Path
    """The pattern."""
    mask: Path
    """The pattern's weight, in grey: black keeps a pixel of the image, white replaces it."""


@attack(trigger=blend, paper="", year=0, version=1, all_to_all=True)
def pattern(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Return the trigger's state; poison nothing."""
    shape = train.images.shape[1:]
    state = {
        "pattern": read_image(hyper.image, shape).to(ctx.device),
        "alpha": read_image(hyper.mask, train.images[0, :1].shape).to(ctx.device),
    }
    return trigger_only(train, state)
