"""BadNets: a small patch in a corner, and the target label.

Gu, Dolan-Gavitt, Garg, "BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply
Chain", arXiv 1708.06733. Threat model: the attacker changes training images and their labels,
nothing else. The defaults are BackdoorBench's: a white 3x3 square in the bottom right corner of a
32x32 image.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from harness.contract import (
    Context,
    Count,
    Goal,
    NonNegativeCount,
    Poison,
    Share,
    TrainingSet,
    attack,
)
from harness.toolbox import poison_dirty_label, read_image


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The patch: a square of one value, or the pixels of an image file that are not black."""

    size: Count = 3
    """Height and width of the square in pixels."""
    margin: NonNegativeCount = 0
    """Pixels between the square and the bottom and right edges."""
    value: Share = 1.0
    image: Path | None = None
    """An image as large as those of the data set, black outside the patch; replaces the square."""


def trigger(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Replace the pixels under the mask: images (N, C, H, W), patch (C, H, W), mask (1, H, W)."""
    inside = (state["mask"] > 0).to(images.dtype)
    return torch.lerp(images, state["patch"], inside)  # exact at 0 and 1, faster than torch.where


def fault(hyper: Hyper, shape: tuple[int, int, int]) -> str | None:
    """Return why the square does not fit into images of a shape, (C, H, W), else None."""
    _, height, width = shape
    if hyper.image is not None or hyper.size + hyper.margin <= min(height, width):
        return None
    return f"a patch of {hyper.size} with margin {hyper.margin} is larger than {height}x{width}"


@attack(
    trigger=trigger,
    fault=fault,
    paper="BadNets: Identifying Vulnerabilities in the Machine Learning Model Supply Chain, "
    "arXiv 1708.06733",
    year=2017,
    version=1,
    display_name="BadNets",
    all_to_all=True,
)
def badnets(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> Poison:
    """Put the patch on a share of the training images and relabel them."""
    patch = _patch(train.images.shape[1:], hyper).to(ctx.device)
    state = {"patch": patch, "mask": _mask(patch, hyper)}
    return poison_dirty_label(train, goal, lambda images: trigger(images, state), state, ctx)


def _patch(shape: torch.Size, hyper: Hyper) -> torch.Tensor:
    return torch.full(shape, hyper.value) if hyper.image is None else read_image(hyper.image, shape)


def _mask(patch: torch.Tensor, hyper: Hyper) -> torch.Tensor:
    if hyper.image is not None:
        return (patch.amax(0, keepdim=True) > 0).float()
    channels, height, width = patch.shape
    if reason := fault(hyper, (channels, height, width)):
        raise ValueError(reason)
    bottom, right = height - hyper.margin, width - hyper.margin
    mask = torch.zeros_like(patch[:1])
    mask[:, bottom - hyper.size : bottom, right - hyper.size : right] = 1
    return mask
