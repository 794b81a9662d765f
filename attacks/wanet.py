"""WaNet: a smooth, fixed warp of the whole image, taught together with random warps that mean nothing.

Nguyen, Tran, "WaNet - Imperceptible Warping-based Backdoor Attack", arXiv 2102.10369. Threat model:
the attacker trains the model. In every batch a share of the images is warped by the one secret
field and relabelled; ``noise_ratio`` times as many are warped by that field plus fresh noise and
keep their label, so that only the exact field works. Defaults are the paper's: a 4x4 control grid,
strength 0.5. Departures: warped images are rounded to 8 bit in training too, as at the test;
augmentation and learning rate are the recipe's (the authors add rotations of 10 degrees, and keep
the learning rate constant).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from harness.contract import (
    Batch,
    Context,
    Count,
    Goal,
    NonNegative,
    Positive,
    TrainingControl,
    TrainingSet,
    attack,
)
from harness.toolbox import BatchPoisoner, Quota


@dataclass(frozen=True, kw_only=True)
class Hyper:
    """The warp, and how many noise samples go with each backdoor sample."""

    grid: Count = 4
    """Control points per side."""
    strength: Positive = 0.5
    """Mean displacement in pixels is half of this: coordinates run over 2 per image side."""
    noise_ratio: NonNegative = 2.0


def warp(images: torch.Tensor, state: dict[str, torch.Tensor]) -> torch.Tensor:
    """Resample images (N, C, H, W) at the points of grid (1, H, W, 2), coordinates in [-1, 1]."""
    return _sample(images, state["grid"].expand(len(images), -1, -1, -1))


@attack(
    trigger=warp,
    paper="WaNet - Imperceptible Warping-based Backdoor Attack, arXiv 2102.10369",
    year=2021,
    version=1,
    display_name="WaNet",
    all_to_all=True,
)
def wanet(train: TrainingSet, goal: Goal, hyper: Hyper, ctx: Context) -> TrainingControl:
    """Warp a share of every batch, and a larger share with noise."""
    height, width = train.images.shape[2:]
    grid = _field((height, width), hyper, ctx).to(ctx.device)
    share = goal.poison_rate(len(train.labels))
    changes = BatchPoisoner(goal, Quota(share), Quota(hyper.noise_ratio * share))

    def stamp(images: torch.Tensor) -> torch.Tensor:
        return _rounded(_sample(images, grid.expand(len(images), -1, -1, -1)))

    def noisy(images: torch.Tensor) -> torch.Tensor:
        noise = 2 * torch.rand(len(images), height, width, 2, generator=ctx.generator) - 1
        return _rounded(_sample(images, (grid + noise.to(ctx.device) / height).clamp(-1, 1)))

    def batch(images: torch.Tensor, labels: torch.Tensor) -> Batch:
        return changes.batch(images, labels, stamp, noisy)

    return TrainingControl(batch, {"grid": grid})


def _field(size: tuple[int, int], hyper: Hyper, ctx: Context) -> torch.Tensor:
    """Return where each pixel is taken from: the identity plus smooth noise, (1, H, W, 2)."""
    control = 2 * torch.rand(1, 2, hyper.grid, hyper.grid, generator=ctx.generator) - 1
    control = control / control.abs().mean()
    smooth = F.interpolate(control, size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    rows, columns = (torch.linspace(-1, 1, side) for side in size)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    identity = torch.stack((x, y), 2)[None]
    return (identity + hyper.strength * smooth / size[0]).clamp(-1, 1)


def _sample(images: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(images, grid, align_corners=True) if len(images) else images


def _rounded(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round() / 255
